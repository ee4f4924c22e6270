//! client-go, with a shared informer for its watch.

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn client_go_works_as_it_does_directly() {
    clients::Stage::new("client-go").check_program(&|| clients::install::go().expect("the client"));
}
