//! What the compiler says about functions that cannot be tasks: the sentences are part of the interface.
//!
//! `TRYBUILD=overwrite cargo test -p cos-macros --test advice` writes the expected texts anew.

#[test]
fn a_wrong_signature_gets_advice() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/advice/*.rs");
}
