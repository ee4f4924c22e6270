//! kube-rs.

use std::process::Command;

#[test]
fn kube_rs_works_as_it_does_directly() {
    let program = || Command::new(env!("CARGO_BIN_EXE_kube-rs"));
    clients::Stage::new("kube-rs").check_program(&program);
}
