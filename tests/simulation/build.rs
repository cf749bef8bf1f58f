//! Libraries that look `getrandom` up by name have to find ours.

fn main() {
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
