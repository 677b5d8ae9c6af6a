//! Repository rules that no compiler checks, as tests: see `tests/it`. The library is empty.
