//! Rules of the repository that no compiler knows, as tests: see `tests/`. There is nothing to call here.
