//! The `--version` text of every program.
//!
//! It is a separate crate so that the commit is determined once, and only this crate is rebuilt when it changes.

/// Version and, in parentheses, the commit of a release build: `0.2.0 (4487a40c2d1e)`, followed by `, changed` if
/// tracked files differed. Other builds have `development build`, unless `RESCALER_COMMIT` was set.
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
