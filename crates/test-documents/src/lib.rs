//! Job documents for tests, as text: crate `job-config`, which parses documents, uses them in its own tests, too.
//!
//! Tests of a document's own keys write their documents themselves.

/// Returns the text of a valid document of this job, issued at the beginning of 2026. `more` is written as further lines at its top, for
/// example `reason = "first"`.
pub fn document(job: &str, generation: u64, more: &str) -> String {
    format!(
        "format = 1\njob = \"{job}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n{more}\n\
         restart_mode = \"in-place\"\nparallelism = {{ default = 1, max = 8 }}\n"
    )
}
