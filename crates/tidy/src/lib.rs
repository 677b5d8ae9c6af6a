//! Rules of the repository that no compiler knows, as tests: see `tests/it`. There is nothing to call here.
