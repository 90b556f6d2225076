//! The documentation that the server carries.

use reqwest::Method;
use segmenter_tests::{Server, http::json};

/// What answers under `/predictions/{model}` and `/v2/models/{model}`.
const MODEL: &str = "maskrcnn_fbnetv3a_c4";

#[tokio::test]
async fn every_documented_route_answers() {
    let Some(server) = Server::start("every_documented_route_answers", &[]).await else {
        return;
    };
    let (status, document) = json(server.get("/openapi.json").await).await;
    assert_eq!(status, 200);
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for verb in operations.as_object().unwrap().keys() {
            let verb = Method::from_bytes(verb.to_uppercase().as_bytes()).unwrap();
            let response = server
                .client()
                .request(verb.clone(), server.url(&path.replace("{model}", MODEL)))
                .send();
            let status = response.await.unwrap().status().as_u16();
            let documented = operations[verb.as_str().to_lowercase()]["responses"]
                .as_object()
                .unwrap()
                .contains_key(&status.to_string());
            assert!(
                documented,
                "{verb} {path} answers {status}, which is not documented"
            );
            assert!(
                ![404, 405, 500].contains(&status),
                "{verb} {path} answers {status}"
            );
        }
    }
    for path in [
        "/predict",
        "/v1/predict",
        "/v1/models",
        "/livez",
        "/readyz",
        "/metrics",
        "/",
        "/api/run_model",
        "/api/random_image",
        "/predictions/{model}",
        "/ping",
        "/v2",
        "/v2/models/{model}/infer",
    ] {
        assert!(paths.contains_key(path), "{path} is not documented");
    }
}

#[tokio::test]
async fn the_documentation_needs_no_other_host() {
    let Some(server) = Server::start("the_documentation_needs_no_other_host", &[]).await else {
        return;
    };
    let mut page = server.get("/docs").await;
    if page.status().is_redirection() {
        let to = page.headers()["location"].to_str().unwrap();
        let to = page.url().join(to).unwrap();
        page = server.get(to.path()).await;
    }
    assert_eq!(page.status(), 200);
    let html = page.text().await.unwrap();
    assert!(html.contains("swagger"), "{html}");
    for quote in ["src=\"", "href=\""] {
        for part in html.split(quote).skip(1) {
            let link = part.split('"').next().unwrap();
            assert!(
                !link.starts_with("http") && !link.starts_with("//"),
                "{link}"
            );
            let link = link.trim_start_matches("./").trim_start_matches("/docs/");
            assert_eq!(
                server.get(&format!("/docs/{link}")).await.status(),
                200,
                "{link}"
            );
        }
    }
}
