//! Parser of the compose file, and the rules for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// Limit of all containers' memory together, in bytes.
const MEMORY_MAX: u64 = 8 << 30;

/// The parts of the file that the rules check.
#[derive(Debug)]
pub(crate) struct ComposeFile {
    pub(crate) services: BTreeMap<String, Service>,
    /// Named volumes.
    volumes: BTreeSet<String>,
    /// Variables with their defaults.
    pub(crate) variables: BTreeMap<String, String>,
}

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    image: String,
    build: Option<Value>,
    profiles: BTreeSet<String>,
    /// Names of required services, with the condition.
    depends_on: BTreeMap<String, String>,
    has_health_check: bool,
    /// Whether it runs to its end and is not restarted.
    is_task: bool,
    memory: Option<u64>,
    ports: Vec<String>,
    volumes: Vec<String>,
    /// Command and entry point.
    words: Vec<String>,
}

impl ComposeFile {
    /// Parses the text as Compose does without any variable set.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (text, variables) = interpolate(text)?;
        let file: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
        let services = file["services"].as_object().ok_or("there are no services")?;
        let services = services.iter().map(|(name, service)| (name.clone(), Service::new(service))).collect();
        let volumes = file["volumes"].as_object().ok_or("there are no volumes")?.keys().cloned().collect();
        Ok(Self { services, volumes, variables })
    }
}

/// Replaces `${NAME:-default}` by the defaults.
fn interpolate(text: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let pattern = regex::Regex::new(r"\$\{([A-Z_]+):-([^}]*)\}").map_err(|error| error.to_string())?;
    let mut variables = BTreeMap::new();
    for found in pattern.captures_iter(text) {
        let (name, default) = (found[1].to_owned(), found[2].to_owned());
        if let Some(other) = variables.insert(name.clone(), default.clone())
            && other != default
        {
            return Err(format!("{name} has the defaults {other:?} and {default:?}"));
        }
    }
    let text = pattern.replace_all(text, "$2").into_owned();
    if text.contains('$') {
        return Err("there is a variable without a default".to_owned());
    }
    Ok((text, variables))
}

fn texts(value: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().map(one).collect(),
        value => vec![one(value)],
    }
}

/// Parses `64m`, `4g`.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let shift = match unit {
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| number << shift)
}

impl Service {
    fn new(service: &Value) -> Self {
        let conditions = service["depends_on"].as_object().into_iter().flatten();
        let condition = |value: &Value| value["condition"].as_str().unwrap_or("none").to_owned();
        Self {
            image: service["image"].as_str().unwrap_or_default().to_owned(),
            build: service.get("build").cloned(),
            profiles: texts(&service["profiles"]).into_iter().collect(),
            depends_on: conditions.map(|(name, value)| (name.clone(), condition(value))).collect(),
            has_health_check: !service["healthcheck"]["test"].is_null(),
            is_task: service["restart"] == "no",
            memory: service["mem_limit"].as_str().and_then(bytes),
            ports: texts(&service["ports"]),
            volumes: texts(&service["volumes"]),
            words: [texts(&service["entrypoint"]), texts(&service["command"])].concat(),
        }
    }
}

/// Returns all problems of a compose file at the root of a tree.
pub(crate) fn problems(file: &ComposeFile, tree: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, service) in &file.services {
        let found = [
            image(file, service, tree),
            running(service),
            dependencies(file, service),
            volumes(file, service, tree),
            configurations(service, tree),
        ];
        problems.extend(found.into_iter().flatten().map(|problem| format!("{name}: {problem}")));
    }
    problems.extend(ports(file));
    problems.extend(memory(file));
    let used: BTreeSet<&str> = file
        .services
        .values()
        .flat_map(|service| &service.volumes)
        .filter_map(|v| v.split(':').next())
        .collect();
    let unused = file.volumes.iter().filter(|volume| !used.contains(volume.as_str()));
    problems.extend(unused.map(|volume| format!("volume {volume} is not used")));
    problems
}

/// Checks that the image is pinned or built here, and built in one place.
fn image(file: &ComposeFile, service: &Service, tree: &Path) -> Vec<String> {
    let image = &service.image;
    let mut problems = Vec::new();
    match image.rsplit_once(':') {
        Some((_, "latest")) | None => problems.push(format!("image {image} is not pinned")),
        Some(_) => {}
    }
    let builders =
        file.services.values().filter(|other| other.image == *image && other.build.is_some()).count();
    let is_ours = image.starts_with("rescaler");
    if builders != usize::from(is_ours) {
        problems.push(format!("image {image} is built in {builders} places"));
    }
    if let Some(build) = &service.build {
        let context = tree.join(build["context"].as_str().unwrap_or("."));
        let dockerfile = build["dockerfile"].as_str().unwrap_or("Dockerfile");
        if !context.join(dockerfile).is_file() {
            problems.push(format!("{dockerfile} does not exist"));
        }
    }
    problems
}

fn running(service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    if !service.has_health_check && !service.is_task {
        problems.push("has no health check".to_owned());
    }
    if service.memory.is_none() {
        problems.push("has no memory limit".to_owned());
    }
    problems
}

fn dependencies(file: &ComposeFile, service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, condition) in &service.depends_on {
        let Some(other) = file.services.get(name) else {
            problems.push(format!("depends on {name}, which does not exist"));
            continue;
        };
        match condition.as_str() {
            "service_healthy" if other.has_health_check => {}
            "service_healthy" => problems.push(format!("waits for {name}, which has no health check")),
            "service_completed_successfully" if other.is_task => {}
            "service_completed_successfully" => {
                problems.push(format!("waits for the end of {name}, which does not end"));
            }
            other => problems.push(format!("waits for {name} to be {other}")),
        }
        if !other.profiles.is_subset(&service.profiles) {
            problems.push(format!("depends on {name}, which is in a profile of its own"));
        }
    }
    problems
}

fn volumes(file: &ComposeFile, service: &Service, tree: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for volume in &service.volumes {
        let source = volume.split(':').next().unwrap_or_default();
        if source.starts_with("./") {
            if !tree.join(source).exists() {
                problems.push(format!("{source} does not exist"));
            }
            if !volume.ends_with(":ro") {
                problems.push(format!("{source} of the tree can be written to"));
            }
        } else if !file.volumes.contains(source) {
            problems.push(format!("volume {source} is not declared"));
        }
    }
    problems
}

/// Checks the configurations: `/etc/rescaler` is `configs/compose`.
fn configurations(service: &Service, tree: &Path) -> Vec<String> {
    let named = service.words.iter().filter_map(|word| word.find("/etc/rescaler/").map(|at| &word[at..]));
    let there = |path: &str| {
        path.strip_prefix("/etc/rescaler/")
            .is_some_and(|name| tree.join("configs/compose").join(name).is_file())
    };
    let mut problems: Vec<String> =
        named.clone().filter(|path| !there(path)).map(|path| format!("{path} does not exist")).collect();
    if named.count() > 0
        && !service.volumes.iter().any(|volume| volume == "./configs/compose:/etc/rescaler:ro")
    {
        problems.push("has no configurations mounted".to_owned());
    }
    problems
}

/// Checks that ports are on loopback and unique over all profiles.
fn ports(file: &ComposeFile) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &file.services {
        for port in &service.ports {
            let Some((host, _)) = port.strip_prefix("127.0.0.1:").and_then(|rest| rest.split_once(':'))
            else {
                problems.push(format!("{name}: port {port} is not of this machine alone"));
                continue;
            };
            if let Some(other) = taken.insert(host, name) {
                problems.push(format!("{name}: port {host} is taken by {other}"));
            }
        }
    }
    problems
}

fn memory(file: &ComposeFile) -> Vec<String> {
    let mut problems = Vec::new();
    for (title, profiles) in
        [("without profiles", vec![]), ("with observability", vec!["observability".to_owned()])]
    {
        let is_up = |service: &&Service| {
            service.profiles.is_empty() || service.profiles.iter().any(|profile| profiles.contains(profile))
        };
        let bytes: u64 = file.services.values().filter(is_up).filter_map(|service| service.memory).sum();
        if bytes > MEMORY_MAX {
            problems.push(format!("{title}: {} MiB are more than 8 GiB", bytes >> 20));
        }
    }
    problems
}
