fn main() -> std::process::ExitCode {
    affect::cli::main()
}
