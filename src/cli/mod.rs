//! The command line: one file per subcommand. Nothing else prints to the terminal.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
