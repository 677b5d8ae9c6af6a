//! Bad answers of the drop, and unavailable services: no wrong action, and eventual success.

use std::time::Duration;

use crate::support::drop_server::{Answer, TestDrop, scripted};
use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, agent, config, document, document_of, ended};
use axum::http::StatusCode;
use config_agent::{Agent, Config, Phase};
use config_drop::Limits;
use drop_client::{ClientSettings, DropClient};

/// Runs the agent until this generation reaches a final phase.
async fn applied(agent: &Agent, generation: u64) -> Phase {
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        phase = ended(agent.journal(), generation) => phase,
    }
}

fn bad_answers() -> Vec<Answer> {
    let right = Answer::document(&document(9));
    let html = "<html><body>Please log in</body></html>".to_owned();
    let with = |name: &'static str, value: &str| {
        let mut answer = right.clone();
        answer.headers.retain(|(header, _)| *header != name);
        answer.headers.push((name, value.to_owned()));
        answer
    };
    vec![
        Answer {
            headers: vec![("content-type", "text/html".to_owned())],
            body: html.clone(),
            ..right.clone()
        },
        Answer { body: html, ..right.clone() },
        with("content-type", "text/html"),
        with("etag", "none"),
        with("etag", "\"10-0123456789abcdef\""),
        Answer { status: 500, ..right.clone() },
        Answer { status: 203, ..right.clone() },
        Answer { status: 206, ..right.clone() },
        Answer { status: 404, ..right.clone() },
        Answer { status: 304, headers: Vec::new(), body: String::new() },
        Answer { status: 302, ..with("location", "/elsewhere") },
        Answer { body: right.body[..right.body.len() / 2].to_owned(), ..right.clone() },
        Answer { body: format!("{}# {}", right.body, "x".repeat(300_000)), ..right },
        Answer::document(&document_of("other", 9, "")),
        // Older and equal generations.
        Answer::document(&document(3)),
        Answer::document(&document(4)),
        Answer::document(&document_of(JOB, 5, "reason = \"not what was applied\"")),
    ]
}

/// Goal: bad answers are never acted on, and do not keep the agent from the right one.
#[tokio::test]
async fn bad_answers_are_never_acted_on() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut answers = vec![Answer::document(&document(5))];
    answers.extend(bad_answers());
    answers.push(Answer::document(&document(6)));
    let url = scripted(answers, StatusCode::NO_CONTENT).await;
    let agent = agent(&config(folder.path(), &url, &flink.url)).await;
    let phase = tokio::time::timeout(PATIENCE, applied(&agent, 6)).await.unwrap();
    assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
    let submitted: Vec<String> =
        flink.with(|world| world.order.iter().map(|id| world.jobs[id].document.clone()).collect());
    assert_eq!(submitted, [document(5).text(), document(6).text()]);
}

/// Goal: an agent that finds all long-poll slots taken still accepts documents.
#[tokio::test]
async fn waiting_is_not_needed() {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::with(Limits { waiting_readers: 1, ..Limits::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&config(folder.path(), &drop.url, &flink.url)).await;
    let other = DropClient::new(&drop.url, "other".parse().unwrap(), ClientSettings::default()).unwrap();
    let holding = tokio::spawn(async move {
        loop {
            let _absent = other.get(None, Some(PATIENCE)).await;
        }
    });
    drop.waiting(1).await;
    for generation in [1, 2] {
        drop.publish(&document(generation)).await;
        let phase = tokio::time::timeout(PATIENCE, applied(&agent, generation)).await.unwrap();
        assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
    }
    holding.abort();
}

/// Goal: a change completes while the drop is unavailable, and is reported once it is back.
#[tokio::test]
async fn reports_wait_for_a_drop_that_is_away() {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::start().await;
    drop.publish(&document(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let good = config(folder.path(), &drop.url, &flink.url);
    let away = scripted(vec![Answer::document(&document(1))], StatusCode::SERVICE_UNAVAILABLE).await;
    let first = agent(&Config { drop_url: away.into(), ..good.clone() }).await;
    let mut ledgers = first.journal().subscribe();
    let over = ledgers.wait_for(|ledger| ledger.change().is_some_and(|change| change.phase.is_final()));
    tokio::select! {
        result = first.run() => panic!("{result:?}"),
        over = tokio::time::timeout(PATIENCE, over) => std::mem::drop(over.unwrap().unwrap()),
    }
    assert_eq!(first.journal().ledger().undelivered(), 3);
    std::mem::drop(first);
    let phase = applied(&agent(&good).await, 1).await;
    assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
    assert_eq!(drop.reports().await.len(), 3);
}

/// Goal: a report that the drop rejects is dropped, and those after it are delivered.
#[tokio::test]
async fn a_refused_report_does_not_block_the_next() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = scripted(vec![Answer::document(&document(1))], StatusCode::BAD_REQUEST).await;
    let agent = agent(&config(folder.path(), &url, &flink.url)).await;
    let phase = tokio::time::timeout(PATIENCE, applied(&agent, 1)).await.unwrap();
    assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
}

/// Goal: an agent started before Flink and the drop applies the document once both are up.
#[tokio::test]
async fn absent_parties_are_waited_for() {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [drop_at, flink_at] = [(); 2].map(|()| test_addresses::unused_address().unwrap());
    let config = config(folder.path(), &format!("http://{drop_at}"), &format!("http://{flink_at}"));
    let agent = agent(&config).await;
    drop.publish(&document(1)).await;
    let appear = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        forward(drop_at, &drop.url).await;
        let mut ledgers = agent.journal().subscribe();
        ledgers.wait_for(|ledger| ledger.change().is_some()).await.unwrap();
        forward(flink_at, &flink.url).await;
        ended(agent.journal(), 1).await
    };
    let phase = tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        phase = tokio::time::timeout(PATIENCE, appear) => phase.unwrap(),
    };
    assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
    assert_eq!(drop.reports().await.len(), 3);
}

/// Forwards connections from this address to that server.
async fn forward(from: std::net::SocketAddr, to: &str) {
    let listener = tokio::net::TcpListener::bind(from).await.unwrap();
    let to = to.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut incoming, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut outgoing = tokio::net::TcpStream::connect(to).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut incoming, &mut outgoing).await);
            });
        }
    });
}
