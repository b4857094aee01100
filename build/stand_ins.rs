//! Stand-ins for NVIDIA's libraries, so that the program starts on a machine that has none of them.
//!
//! Candle asks the linker for libcuda, libcublas and others, and a program that is linked with them does not start where one is
//! missing. This makes a static library of each name in `OUT_DIR`. The linker looks there before it looks into the
//! toolkit, so that the program needs no file of NVIDIA's to start (`readelf -d` shows none). Each function of
//! `cuda-symbols.txt` is a jump through a pointer. At first the pointer leads to code that keeps all registers which can hold
//! arguments, has the library loaded and the function found (`loader.c`), and stores its address; every later call is the jump
//! alone. Whether a library is there, `affect_load_libX` tells beforehand (src/cuda/loader.rs).
//!
//! Linux with glibc on x86-64 and aarch64; elsewhere the libraries are linked as cudarc says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SYMBOLS: &str = "build/cuda-symbols.txt";

/// What the list says of one library.
#[derive(Default)]
struct Library {
    name: String,
    files: Vec<String>,
    functions: Vec<String>,
}

pub fn build(manifest_folder: &Path) -> Result<(), String> {
    let Some(machine) = machine() else {
        return Ok(());
    };
    let sources = manifest_folder.join("build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let list = manifest_folder.join(SYMBOLS);
    let list = std::fs::read_to_string(&list).map_err(|error| format!("cannot read `{}`: {error}", list.display()))?;
    let (loaded, absent): (Vec<_>, Vec<_>) = libraries(&list).into_iter().partition(|one| !one.files.is_empty());
    for library in &loaded {
        let jumps = out.join(format!("{}.s", library.name));
        write(&jumps, &assembly(library, machine))?;
        let files: Vec<String> = library.files.iter().map(|file| format!("\"{file}\"")).collect();
        compiler()
            .define("LIBRARY", library.name.as_str())
            .define("FILES", files.join(",").as_str())
            .files([sources.join("loader.c"), jumps])
            .try_compile(&library.name["lib".len()..])
            .map_err(|error| error.to_string())?;
    }
    let mut runtime = compiler();
    runtime.file(sources.join("cudart.c"));
    let template = sources.join("absent.c");
    for library in &absent {
        // Files of their own: where a whole nvcc built Candle's launchers, the linker takes those.
        let source = out.join(format!("{}_absent.c", library.name));
        let mut text = format!("#include \"{}\"\n", template.display());
        for function in &library.functions {
            let _ = writeln!(text, "ABSENT({function})");
        }
        write(&source, &text)?;
        runtime.file(source);
    }
    runtime.try_compile("cudart").map_err(|error| error.to_string())?;
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-cfg=cuda_stand_ins");
    Ok(())
}

#[derive(Clone, Copy)]
enum Machine {
    X86,
    Arm,
}

/// Whether there are stand-ins for the target.
fn machine() -> Option<Machine> {
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return None;
    }
    match target("ARCH").as_str() {
        "x86_64" => Some(Machine::X86),
        "aarch64" => Some(Machine::Arm),
        _ => None,
    }
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    // The link lines are cudarc's and candle-kernels'.
    build
        .cargo_metadata(false)
        .pic(true)
        .warnings(true)
        .extra_warnings(true);
    build
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

fn libraries(list: &str) -> Vec<Library> {
    let mut found: Vec<Library> = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, files)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            found.push(Library {
                name: name.to_string(),
                files: files.split_whitespace().map(String::from).collect(),
                functions: Vec::new(),
            });
        } else if let Some(library) = found.last_mut() {
            library.functions.extend(line.split_whitespace().map(String::from));
        }
    }
    found
}

/// Every function has sections of its own, so that the linker keeps those that are called.
fn assembly(library: &Library, machine: Machine) -> String {
    let (function, first_call) = match machine {
        Machine::X86 => (X86_FUNCTION, X86_FIRST_CALL),
        Machine::Arm => (ARM_FUNCTION, ARM_FIRST_CALL),
    };
    let mut text = first_call.replace("LIBRARY", &library.name);
    for name in &library.functions {
        text.push_str(&function.replace("LIBRARY", &library.name).replace("NAME", name));
        text.push_str(&ENTRY.replace("NAME", name));
    }
    text.push_str(".section .note.GNU-stack,\"\",%progbits\n");
    text
}

/// `struct entry` of loader.c.
const ENTRY: &str = r#"
    .section .data.affect.NAME,"aw",%progbits
    .balign 8
.Lentry_NAME:
    .quad .Lfirst_NAME
    .asciz "NAME"
"#;

/// r11 is free at a call: neither an argument nor kept for the caller.
const X86_FUNCTION: &str = r#"
    .section .text.NAME,"ax",@progbits
    .globl NAME
    .hidden NAME
    .type NAME, @function
NAME:
    endbr64
    jmp *.Lentry_NAME(%rip)
.Lfirst_NAME:
    endbr64
    lea .Lentry_NAME(%rip), %r11
    jmp affect_first_call_LIBRARY
    .size NAME, . - NAME
"#;

/// At a call the stack is 8 bytes off a multiple of 16; after the push it is right for the call of C. Kept are the registers
/// of arguments (six integers, eight vectors, al with the number of vectors of a variadic call) and r10.
const X86_FIRST_CALL: &str = r#"
    .section .text.affect_first_call_LIBRARY,"ax",@progbits
    .type affect_first_call_LIBRARY, @function
affect_first_call_LIBRARY:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    sub $192, %rsp
    movups %xmm0, 0(%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    mov %rdi, 128(%rsp)
    mov %rsi, 136(%rsp)
    mov %rdx, 144(%rsp)
    mov %rcx, 152(%rsp)
    mov %r8, 160(%rsp)
    mov %r9, 168(%rsp)
    mov %rax, 176(%rsp)
    mov %r10, 184(%rsp)
    mov %r11, %rdi
    call affect_resolve_LIBRARY
    mov %rax, %r11
    movups 0(%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    mov 128(%rsp), %rdi
    mov 136(%rsp), %rsi
    mov 144(%rsp), %rdx
    mov 152(%rsp), %rcx
    mov 160(%rsp), %r8
    mov 168(%rsp), %r9
    mov 176(%rsp), %rax
    mov 184(%rsp), %r10
    leave
    .cfi_def_cfa %rsp, 8
    jmp *%r11
    .cfi_endproc
    .size affect_first_call_LIBRARY, . - affect_first_call_LIBRARY
"#;

/// x16 and x17 are free at a call. `hint 34` is `bti c`, a landing place of indirect calls, and nothing on older processors.
const ARM_FUNCTION: &str = r#"
    .section .text.NAME,"ax",%progbits
    .balign 4
    .globl NAME
    .hidden NAME
    .type NAME, %function
NAME:
    hint #34
    adrp x16, .Lentry_NAME
    ldr x17, [x16, #:lo12:.Lentry_NAME]
    br x17
.Lfirst_NAME:
    hint #34
    adrp x16, .Lentry_NAME
    add x16, x16, #:lo12:.Lentry_NAME
    b affect_first_call_LIBRARY
    .size NAME, . - NAME
"#;

/// Kept are the registers of arguments (eight integers, the address of a result, eight vectors) and the return address.
const ARM_FIRST_CALL: &str = r#"
    .section .text.affect_first_call_LIBRARY,"ax",%progbits
    .balign 4
    .type affect_first_call_LIBRARY, %function
affect_first_call_LIBRARY:
    .cfi_startproc
    stp x29, x30, [sp, #-224]!
    .cfi_def_cfa_offset 224
    .cfi_offset 29, -224
    .cfi_offset 30, -216
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    str x8, [sp, #80]
    stp q0, q1, [sp, #96]
    stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]
    stp q6, q7, [sp, #192]
    mov x0, x16
    bl affect_resolve_LIBRARY
    mov x16, x0
    ldp x0, x1, [sp, #16]
    ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48]
    ldp x6, x7, [sp, #64]
    ldr x8, [sp, #80]
    ldp q0, q1, [sp, #96]
    ldp q2, q3, [sp, #128]
    ldp q4, q5, [sp, #160]
    ldp q6, q7, [sp, #192]
    ldp x29, x30, [sp], #224
    .cfi_def_cfa_offset 0
    .cfi_restore 29
    .cfi_restore 30
    br x16
    .cfi_endproc
    .size affect_first_call_LIBRARY, . - affect_first_call_LIBRARY
"#;
