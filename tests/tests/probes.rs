//! What Kubernetes asks.

use std::time::Duration;

use segmenter_tests::{Server, http::json, shared};
use tokio::time::sleep;

#[tokio::test]
async fn a_server_says_what_it_waits_for_until_it_is_ready() {
    let Some(shared) = shared("a_server_says_what_it_waits_for_until_it_is_ready") else {
        return;
    };
    let server = Server::spawn(&shared.join("weights"), &[], &[]);
    let mut waited_for = Vec::new();
    loop {
        if let Ok(response) = server.client().get(server.url("/readyz")).send().await {
            let (status, reply) = json(response).await;
            if status == 200 {
                break;
            }
            assert_eq!(status, 503);
            waited_for.extend(reply["pending"].as_array().unwrap().clone());
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!waited_for.is_empty());
    assert!(
        waited_for
            .iter()
            .all(|name| name == "model" || name == "warm-up"),
        "{waited_for:?}"
    );
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
}
