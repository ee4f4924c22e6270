//! The official JavaScript client.

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn the_javascript_client_works_as_it_does_directly() {
    clients::Stage::new("javascript")
        .check_program(&|| clients::install::javascript().expect("the client"));
}
