//! Tests of the client against real servers: limits, credentials, certificates.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod support;

use std::time::Duration;

use http_client::{Access, Client, ClientSettings, Failure, get};
use support::{Answering, Authority, Server};
use url::Url;

const SETTINGS: ClientSettings = ClientSettings {
    connect_timeout: Duration::from_secs(20),
    timeout: Duration::from_secs(60),
    max_body_bytes: 64 << 10,
};

fn client(access: &Access) -> Client {
    Client::new(SETTINGS, access, true).unwrap()
}

fn access(toml: &str) -> Access {
    toml::from_str(toml).unwrap()
}

async fn ask(client: &Client, server: &Server) -> Result<http_client::Answer, Failure> {
    client.send(get(&server.url).unwrap()).await
}

/// Goal: credentials, header and client certificate reach a server that requires them all, and a request's own
/// credentials take precedence.
#[tokio::test]
async fn a_login_reaches_a_server_that_wants_a_certificate() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let files = authority.write_client(folder.path());
    let server = Server::encrypted(&authority, true, Answering::Headers).await;
    let all = access(&format!("{files}\nuser = 'ann'\npassword.env = 'PATH'\nheaders = {{ X-Team = 'a' }}"));
    let answer = ask(&client(&all), &server).await.unwrap();
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(text.contains("authorization: basic ") && text.contains("x-team: a"), "{text}");

    let mut request = get(&server.url).unwrap();
    request.headers_mut().insert("authorization", "Basic b3RoZXI6b3RoZXI=".parse().unwrap());
    let answer = client(&all).send(request).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains("b3RoZXI6b3RoZXI="));
}

/// Goal: a server is trusted only if the configured authority signed its certificate, and the error names the
/// setting; a client without the required certificate gets an error.
#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::encrypted(&authority, true, Answering::Headers).await;
    let path = folder.path().join("other.pem");
    std::fs::write(&path, other.pem()).unwrap();
    let wrong = access(&format!("authorities_file = '{}'", path.display()));
    let refused = ask(&client(&wrong), &server).await.unwrap_err();
    assert!(refused.to_string().contains("authorities_file"), "{refused}");
    assert!(refused.is_connect());

    std::fs::write(&path, authority.pem()).unwrap();
    let refused = ask(&client(&wrong), &server).await.unwrap_err();
    assert!(matches!(refused, Failure::Request(_) | Failure::Body(_)), "{refused}");
}

/// Goal: unusable files are rejected when the client is created, with their key and name.
#[test]
fn unusable_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    secrets::write_new(&path, "nothing").unwrap();
    let path = path.display();
    for (toml, words) in [
        (format!("authorities_file = '{path}'"), ["authorities_file", "empty.pem"]),
        ("authorities_file = '/none.pem'".to_owned(), ["authorities_file", "/none.pem"]),
        (
            format!("client_certificate_file = '{path}'\nclient_key_file = '{path}'"),
            ["client_certificate_file", "empty.pem"],
        ),
        ("token.file = '/none'".to_owned(), ["/none", ""]),
        ("token.env = 'NO_SUCH_VARIABLE_HERE'".to_owned(), ["token.env", "NO_SUCH_VARIABLE_HERE"]),
    ] {
        let refused = Client::new(SETTINGS, &access(&toml), true).unwrap_err().to_string();
        assert!(words.iter().all(|word| refused.contains(word)), "{toml}: {refused}");
    }
}

/// Goal: a response that is too large or truncated, an unresponsive server and a closed port are four different
/// failures; a redirect is a response and is not followed.
#[tokio::test]
async fn bounds_and_redirects() {
    let plain = Access::default();
    let client = Client::new(SETTINGS, &plain, false).unwrap();
    let large = Server::plain(Answering::Bytes { stated: 100_000, sent: 100_000 }).await;
    let refused = ask(&client, &large).await.unwrap_err();
    assert!(matches!(refused, Failure::TooLarge { limit_bytes: 65_536 }), "{refused}");
    let short = Server::plain(Answering::Bytes { stated: 10_000, sent: 9_999 }).await;
    assert!(matches!(ask(&client, &short).await.unwrap_err(), Failure::Body(_)));
    let silent = Server::plain(Answering::Nothing).await;
    let request = get(&silent.url).unwrap();
    let late = client.send_within(request, Duration::from_millis(50), 1).await.unwrap_err();
    assert!(matches!(late, Failure::Timeout(_)) && !late.is_connect(), "{late}");
    let elsewhere = Server::plain(Answering::Redirect).await;
    let answer = ask(&client, &elsewhere).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text("location")), (302, Some("http://127.0.0.1:1/login")));
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    let refused = client.send(get(&url).unwrap()).await.unwrap_err();
    assert!(refused.is_connect() && refused.to_string().contains("refused"), "{refused}");
}

/// Goal: a wrong scheme, http for https or the reverse, is reported with the right one.
#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let authority = Authority::new();
    let encrypted = Server::encrypted(&authority, false, Answering::Headers).await;
    let plain = Server::plain(Answering::Headers).await;
    let client = Client::new(SETTINGS, &Access::default(), true);
    // A machine without any authority cannot create a client for https, and returns an error.
    let Ok(client) = client else { return };
    for (server, scheme) in [(&encrypted, "http"), (&plain, "https")] {
        let mut url = server.url.clone();
        url.set_scheme(scheme).unwrap();
        let refused = client.send(get(&url).unwrap()).await.unwrap_err().to_string();
        let other = if scheme == "http" { "https://" } else { "http://" };
        assert!(refused.contains(&format!("write {other}")), "{refused}");
    }
}
