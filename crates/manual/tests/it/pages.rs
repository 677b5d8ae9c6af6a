//! Every program has a page and completions, and what they tell is complete.

use std::fs;

/// Goal: each program, and each of its commands, has a man page that names it and its options.
#[test]
fn every_program_has_pages_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    manual::write(folder.path()).unwrap();
    for program in manual::programs() {
        let name = program.get_name().to_owned();
        let page = fs::read_to_string(folder.path().join(format!("man/man1/{name}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS") && page.contains("version"), "{name}: {page}");
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let file = folder.path().join(format!("man/man1/{name}-{}.1", command.get_name()));
            assert!(file.is_file(), "{} is missing", file.display());
        }
        for shell in ["bash", "zsh", "fish"] {
            let of_shell = fs::read_dir(folder.path().join("completions").join(shell)).unwrap();
            let texts = of_shell.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
            assert!(texts.into_iter().any(|text| text.contains(&name)), "{shell} knows nothing of {name}");
        }
    }
}

/// Goal: no option goes without a word of help, for a person who reads the page first.
#[test]
fn every_option_is_explained() {
    fn check(path: &str, command: &clap::Command) {
        assert!(command.get_about().is_some(), "{path} says nothing about itself");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
        for inner in command.get_subcommands() {
            check(&format!("{path} {}", inner.get_name()), inner);
        }
    }
    for program in manual::programs() {
        check(program.get_name(), &program);
    }
}
