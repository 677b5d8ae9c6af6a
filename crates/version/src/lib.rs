//! What every program of the project answers to `--version`.
//!
//! A crate of its own, so that the commit is looked up once, and only this crate is built anew when it changes.

/// The version, and in parentheses the commit of a release build: `0.1.0 (4487a40c2d1e)`, with `, changed` behind it if
/// tracked files differed. Builds that are not releases say `development build`, unless `RESCALER_COMMIT` was set.
pub const VERSION: &str = env!("RESCALER_VERSION");

#[cfg(test)]
mod tests {
    use super::VERSION;

    /// Goal: a bug report can be tied to a release and to a commit.
    #[test]
    fn says_version_and_origin() {
        assert!(VERSION.starts_with(concat!(env!("CARGO_PKG_VERSION"), " (")), "{VERSION}");
        assert!(VERSION.ends_with(')'), "{VERSION}");
    }
}
