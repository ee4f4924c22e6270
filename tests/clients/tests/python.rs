//! The official Python client.

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn the_python_client_works_as_it_does_directly() {
    clients::Stage::new("python")
        .check_program(&|| clients::install::python().expect("the client"));
}
