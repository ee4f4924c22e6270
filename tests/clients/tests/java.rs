//! The official Java client.

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn the_java_client_works_as_it_does_directly() {
    clients::Stage::new("java").check_program(&|| clients::install::java().expect("the client"));
}
