//! Rules about documents: links and names must resolve.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{files, root};

/// Returns the lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

/// Returns the targets of links and images: the text between `](` and `)`.
fn links(text: &str) -> Vec<String> {
    let plain: Vec<&str> = prose(text).flat_map(|line| line.split('`').step_by(2)).collect();
    let mut targets = Vec::new();
    for part in plain.join("\n").split("](").skip(1) {
        targets.extend(part.split([')', ' ']).next().map(ToOwned::to_owned));
    }
    targets
}

/// Returns the anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(slug).collect()
}

/// Returns the problem of a link in a file, if any.
fn problem(file: &str, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let found = root().join(Path::new(file).parent()?).join(path);
    if !path.is_empty() && !found.exists() {
        return Some(format!("{file}: {target} does not exist"));
    }
    let page =
        if path.is_empty() { text.to_owned() } else { std::fs::read_to_string(&found).unwrap_or_default() };
    let is_there = anchor.is_empty() || anchors(&page).contains(anchor);
    (!is_there).then(|| format!("{file}: {target} has no such heading"))
}

/// Goal: every link and image of a document resolves.
#[test]
fn links_lead_somewhere() {
    let documents = files(".md");
    let mut checked = 0;
    let mut problems = Vec::new();
    for (file, text) in &documents {
        for target in links(text) {
            checked += 1;
            problems.extend(problem(file, text, &target));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 2, "only {checked} links were found");
}

/// Goal: a dead link is detected.
#[test]
fn dead_links_would_be_found() {
    let text = "# A title, here\n[a](#a-title-here) [b](#b) ![c](images/none.png)\n```\n[d](e.md)\n```\n`[f](g.md)`\n";
    assert_eq!(links(text), ["#a-title-here", "#b", "images/none.png"]);
    let problems = links(text).iter().filter_map(|target| problem("docs/page.md", text, target)).count();
    assert_eq!(problems, 2);
    assert!(problem("README.md", "", "docs/page.md#nothing").is_some());
    assert!(problem("README.md", "", "docs/page.md").is_none());
}

/// Goal: every path in backquotes that looks like one of the repository exists.
#[test]
fn documents_name_files_that_exist() {
    let ours = [
        "configs/",
        "crates/",
        "docker/",
        "docs/",
        "flink-autoscaler/",
        "flink-jobs/",
        "scripts/",
        "testdata/",
    ];
    let mut checked = 0;
    for (name, text) in files(".md") {
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split_whitespace().next().unwrap_or_default().trim_start_matches("./");
            let is_page = path.ends_with(".md") && !path.contains('/');
            let is_ours = is_page || ours.iter().any(|folder| path.starts_with(folder));
            if !is_ours || path.contains(['*', '{', '<']) || path.contains("/target/") {
                continue;
            }
            assert!(root().join(path).exists(), "{name} names {path}, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} paths were found in the documents");
}

/// Returns the metric names in a text: quoted, or at the start of a line in the Prometheus format.
fn metrics(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit();
    let words = text.split(|letter: char| !is_part(letter));
    words
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len())
        .map(ToOwned::to_owned)
        .collect()
}

/// Goal: each metric of a program or the job is in the reference.
#[test]
fn metrics_are_documented() {
    let reference = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let sources = [
        ("crates/rescaler/src/http/metrics.rs", "rescaler_"),
        ("crates/config-drop/src/metrics.rs", "config_drop_"),
        ("crates/config-agent/src/health.rs", "config_agent_"),
        ("crates/event-producer/src/report.rs", "event_producer_"),
    ];
    let mut checked = 0;
    for (file, prefix) in sources {
        for name in metrics(&std::fs::read_to_string(root().join(file)).unwrap(), prefix) {
            checked += 1;
            assert!(reference.contains(&format!("`{name}`")), "docs/metrics.md: no {name} ({file})");
        }
    }
    for (file, text) in files(".java").iter().filter(|(file, _)| file.contains("/main/")) {
        for call in ["counter(\"", "gauge(\"", "meter(\"", "histogram(\"", "register(\"", "ValueProbe(\""] {
            for rest in text.split(call).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                checked += 1;
                // Some names have the number of the input appended.
                assert!(reference.contains(&format!("`{name}")), "docs/metrics.md: no {name} ({file})");
            }
        }
    }
    assert!(checked > 40, "only {checked} metrics were found");
}

/// Returns the sources of the programs, with multi-line literals joined.
fn sources() -> String {
    let mut text = String::new();
    for (_, source) in files(".rs").into_iter().filter(|(name, _)| name.contains("/src/")) {
        let mut parts = source.split("\\\n");
        text.push_str(parts.next().unwrap_or_default());
        parts.for_each(|part| text.push_str(part.trim_start()));
    }
    text
}

/// Returns the literal parts of a message in a guide, with `…` for variable parts.
fn literal_parts(message: &str) -> Vec<&str> {
    let parts = message.split('…').flat_map(|part| part.split(": ")).flat_map(|part| part.split("; "));
    let trimmed = parts.map(|part| part.trim().trim_end_matches([':', ';', ',']));
    // Two words may be a coincidence of arguments; three are a sentence of a program.
    trimmed.filter(|part| part.split_whitespace().count() >= 3).collect()
}

/// Goal: the messages in the troubleshooting guide are those that the programs print.
#[test]
fn the_guide_shows_messages_that_exist() {
    let guide = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let (_, table) = guide.split_once("## When something is wrong").unwrap();
    let sources = sources();
    let mut checked = 0;
    let mut unknown = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| failure")) {
        let seen = row.split(" | ").nth(1).unwrap_or_default();
        let messages = seen.split('`').skip(1).step_by(2).filter(|message| !message.contains('{'));
        for part in messages.flat_map(literal_parts) {
            checked += 1;
            if !sources.contains(part) {
                unknown.push(part);
            }
        }
    }
    assert!(unknown.is_empty(), "no program says: {unknown:#?}");
    assert!(checked > 40, "only {checked} messages were found");
}
