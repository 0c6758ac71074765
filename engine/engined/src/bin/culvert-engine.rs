//! The program; all of it is in the library beside it, where tests and fuzzers reach it too.

fn main() -> std::process::ExitCode {
    engined::main()
}
