//! Redaction of secrets in texts.

use url::Url;

/// Parts of keys whose values are or may be secrets: names of Kafka and Java and of this project.
const SECRET_PARTS: [&str; 11] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "jaas",
    "credential",
    "sasl",
    "auth.",
    "oauth",
    "private",
    "properties",
];

/// Whether the value of a configuration key may be a secret. File names are not: their content is read with
/// [`crate::read`].
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let key = key.trim_matches(['"', '\'', ' ']);
    let names_file = [".location", "_file", "_tokens"].iter().any(|end| key.ends_with(end));
    // `key` alone would also be in key_group_alignment and public_keys.
    let is_key = key.contains("ssl.key") || key.rsplit(['.', '_', '-']).next() == Some("key");
    !names_file && (is_key || SECRET_PARTS.iter().any(|part| key.contains(part)))
}

/// Returns a text without the user names and passwords of the URLs in it.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        // A URL reaches from the word before `://` to white space, a quote or the end.
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>'));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        // White space within the credentials makes the URL invalid: everything before the last @ is removed.
        if word.contains("://") && !word.contains('@') && after.contains('@') && !is_url(word) {
            let (scheme, _) = word.split_once("://").unwrap_or(("", word));
            shown.push_str(scheme);
            shown.push_str("://");
            rest = after.rsplit_once('@').map_or("", |(_, host)| host);
            continue;
        }
        shown.push_str(&word_without_credentials(word));
        let Some(separator) = after.chars().next() else { return shown };
        shown.push(separator);
        rest = &after[separator.len_utf8()..];
    }
}

fn is_url(word: &str) -> bool {
    word.parse::<Url>().is_ok_and(|url| url.has_host())
}

fn word_without_credentials(word: &str) -> String {
    let Some((_, tail)) = word.rsplit_once('@') else { return word.to_owned() };
    let Some((scheme, rest)) = word.split_once("://") else {
        // `user:password@host` without a scheme; an e-mail address has no colon before the @.
        let is_pair = word.split_once('@').is_some_and(|(before, _)| before.contains(':'));
        return if is_pair { tail.to_owned() } else { word.to_owned() };
    };
    if is_url(word) {
        let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return format!("{scheme}://{host}{path}");
    }
    format!("{scheme}://{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: URLs within a sentence lose their credentials; everything else stays.
    #[test]
    fn urls_in_sentences_lose_their_credentials() {
        let cases = [
            ("no answer from http://ann:pw@h:1/x?a=b: refused", "no answer from http://h:1/x?a=b: refused"),
            ("curl -u x \"http://ann:p@w@h\"", "curl -u x \"http://h\""),
            ("http://ann:p/w@h", "http://h"),
            ("http://ann:p w@h and more", "http://h and more"),
            ("write to ann@example.org", "write to ann@example.org"),
            ("http://h/a@b", "http://h/a@b"),
            ("nothing", "nothing"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(without_credentials(text), expected);
        }
    }

    /// Goal: keys of secrets are recognised in every spelling; other keys are not.
    #[test]
    fn keys_of_secrets_are_known() {
        for key in
            ["sasl.password", "sasl.passwrd", "SSL.Key.PEM", "sasl.jaas.config", "api_token", "client-secret"]
        {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "linger.ms",
            "ssl.key.location",
            "drop.token_file",
            "flink.url",
            "access.agent_tokens",
            "key_group_alignment",
            "public_keys",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }
}
