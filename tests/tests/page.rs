//! The page at `/`, in a browser.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails beside a test fails it as well"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use segmenter_tests::{
    Browser, PictureHost, Server,
    browser::axe,
    http::json,
    shared::{shared, skipped},
};
use serde_json::{Value, json};

const NAME: &str = "the_page_works_in_a_browser";
/// People, a bird and a handbag.
const PICTURE: &str = "000000001268.jpg";
/// Objects of many classes.
const CROWD: &str = "000000003845.jpg";

/// The two keys that move a slider to its ends.
const HOME: &str = "\u{e011}";
const END: &str = "\u{e010}";

/// One browser for everything: most of what a test of the page takes is the browser's start.
#[tokio::test]
async fn the_page_works_in_a_browser() {
    let Some(shared) = shared(NAME) else {
        return;
    };
    let pictures = shared.join("images/coco-val").canonicalize().unwrap();
    let limits = [
        "--max-body=1MiB",
        "--queue=2",
        "--workers=1",
        "--fetch-timeout=1m",
    ];
    let (Some(server), Some(browser)) = (
        Server::start(NAME, &limits).await,
        Browser::start(NAME).await,
    ) else {
        return;
    };
    let mut session = Session {
        server,
        browser,
        axe: axe(NAME),
        folder: screenshots(),
    };
    session.browser.screen([1280, 900], "light").await;
    session.browser.open(&session.server.url("/")).await;
    let loaded = "document.querySelector('#model').textContent.startsWith('maskrcnn')";
    session.browser.until(loaded).await;
    session.look("empty").await;

    session.a_picture_is_outlined(&pictures.join(PICTURE)).await;
    session
        .slider_and_filter_choose(&pictures.join(PICTURE))
        .await;
    session.snippets_ask_for_what_is_shown(&pictures).await;
    session
        .the_mask_is_that_of_the_api(&pictures.join(PICTURE))
        .await;
    session.look("result").await;
    session.random_and_compute_work().await;
    session.look("random").await;
    session.a_url_and_the_camera_are_sources(&pictures).await;
    session.names_can_be_read_on_every_colour().await;
    session.look_at_a_crowd(&pictures.join(CROWD)).await;
    session.errors_are_told().await;
}

struct Session {
    server: Server,
    browser: Browser,
    axe: Option<String>,
    folder: PathBuf,
}

/// Where people can look at what the tests saw.
fn screenshots() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let folder = executable.ancestors().nth(2).unwrap().join("screenshots");
    fs::create_dir_all(&folder).unwrap();
    folder
}

impl Session {
    /// The names of the objects that the list shows.
    async fn listed(&self) -> Value {
        let names = "return [...document.querySelectorAll('#objects li:not([hidden]) .name')].map((name) => name.textContent)";
        self.browser.run(names, json!([])).await
    }

    /// How many of these elements are visible.
    async fn count(&self, selector: &str) -> usize {
        let count = "return [...document.querySelectorAll(arguments[0])].filter((element) => element.checkVisibility()).length";
        let count = self.browser.run(count, json!([selector])).await;
        usize::try_from(count.as_u64().unwrap()).unwrap()
    }

    async fn text(&self, selector: &str) -> String {
        let text = "return document.querySelector(arguments[0]).textContent";
        let text = self.browser.run(text, json!([selector])).await;
        text.as_str().unwrap().to_owned()
    }

    async fn until_answered(&self) {
        let answered = "document.querySelector('#status').textContent.includes('object')";
        self.browser.until(answered).await;
    }

    async fn a_picture_is_outlined(&self, picture: &Path) {
        self.browser.enter("#file", picture.to_str().unwrap()).await;
        self.until_answered().await;
        let (_, names) = json(
            self.server
                .post("/predict", fs::read(picture).unwrap())
                .await,
        )
        .await;
        assert_eq!(self.listed().await, names["objects"]);
        let found = names["objects"].as_array().unwrap().len();
        assert_eq!(self.count("#outlines path").await, found);
        assert!(self.count(".label").await >= 1);
        assert!(self.text("#timings").await.contains("infer"));
        let status = self.text("#status").await;
        assert!(
            status.starts_with(&format!("{found} objects: ")),
            "{status}"
        );
    }

    async fn slider_and_filter_choose(&self, picture: &Path) {
        let before = self.listed().await;
        self.browser.enter("#threshold", END).await;
        assert_eq!(self.listed().await, json!([]));
        self.browser.enter("#threshold", HOME).await;
        let picture = fs::read(picture).unwrap();
        let (_, all) = json(
            self.server
                .post("/v1/predict?threshold=0.1&masks=none", picture)
                .await,
        )
        .await;
        let detections = all["detections"].as_array().unwrap();
        let labels: Vec<_> = detections.iter().map(|found| &found["label"]).collect();
        assert_eq!(self.listed().await, json!(labels));
        assert!(labels.len() > before.as_array().unwrap().len());

        self.browser
            .click("#classes label[data-name=person] input")
            .await;
        let others: Vec<_> = labels.iter().filter(|label| **label != "person").collect();
        assert_eq!(self.listed().await, json!(others));
        self.browser.click("#all").await;
        assert_eq!(self.listed().await, json!(labels));

        // An object of the list comes to the fore and stays there.
        self.browser.click("#objects li button").await;
        assert_eq!(self.count("#outlines .chosen").await, 1);
        self.browser.click("#objects li button").await;
    }

    async fn snippets_ask_for_what_is_shown(&self, pictures: &Path) {
        self.browser
            .click("#classes label[data-name=bird] input")
            .await;
        let shown = self.listed().await;
        for (language, program) in [("curl", "bash"), ("python", "python3")] {
            self.browser
                .click(&format!(".switch label:has([value={language}])"))
                .await;
            let snippet = self.text("#snippet").await;
            assert!(snippet.contains(PICTURE), "{snippet}");
            let output = Command::new(program)
                .args(["-c", &snippet])
                .current_dir(pictures)
                .env("NO_PROXY", "*")
                .output();
            let Some(output) = output
                .ok()
                .filter(|output| output.status.code() != Some(127))
            else {
                skipped(NAME, &format!("no {language} to run the snippet with"));
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout);
            let found = if language == "curl" {
                let reply: Value = serde_json::from_str(&text).unwrap();
                reply["detections"].as_array().unwrap().len()
            } else {
                text.lines().count()
            };
            assert_eq!(
                found,
                shown.as_array().unwrap().len(),
                "{snippet}: {output:?}"
            );
        }
        self.browser.click(".switch label:has([value=grpc])").await;
        assert!(
            self.text("#snippet")
                .await
                .contains("segmenter.v1.Segmenter/Predict")
        );
        self.browser.click(".switch label:has([value=curl])").await;
        self.browser.click("#all").await;
    }

    async fn the_mask_is_that_of_the_api(&self, picture: &Path) {
        let folder = tempfile::tempdir().unwrap();
        self.browser.download_to(folder.path()).await;
        let threshold = self
            .browser
            .run(
                "return document.querySelector('#threshold').value",
                json!([]),
            )
            .await;
        let path = format!(
            "/v1/predict?masks=png&threshold={}",
            threshold.as_str().unwrap()
        );
        let (_, reply) = json(self.server.post(&path, fs::read(picture).unwrap()).await).await;
        self.browser.click("#save-mask").await;
        let saved = saved(&folder.path().join("mask.png")).await.into_luma8();
        let mut expected = vec![0; saved.pixels().len()];
        for found in reply["detections"].as_array().unwrap() {
            let png = BASE64_STANDARD
                .decode(found["mask"]["png"].as_str().unwrap())
                .unwrap();
            let mask = image::load_from_memory(&png).unwrap().into_luma8();
            for (sum, pixel) in expected.iter_mut().zip(mask.pixels()) {
                *sum |= pixel.0[0];
            }
        }
        assert!(saved.into_raw() == expected, "the mask is another");
        self.browser.click("#save-cutout").await;
        let cutout = self::saved(&folder.path().join("cutout.png"))
            .await
            .into_rgba8();
        assert!(cutout.pixels().map(|pixel| pixel.0[3]).eq(expected));
    }

    async fn random_and_compute_work(&self) {
        self.browser.click("#random").await;
        self.browser
            .until("!document.querySelector('#timings').textContent.startsWith('640 × 427')")
            .await;
        self.until_answered().await;
        assert_ne!(self.listed().await, json!([]));
        let asked = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/v1/predict')).length";
        let before = self
            .browser
            .run(&format!("return {asked}"), json!([]))
            .await;
        self.browser.click("#compute").await;
        self.browser.until(&format!("{asked} > {before}")).await;
        self.until_answered().await;
    }

    async fn a_url_and_the_camera_are_sources(&self, pictures: &Path) {
        let host = PictureHost::start_with_folder(pictures).await;
        self.browser.enter("#url", &host.picture(PICTURE)).await;
        self.browser.click("#address button").await;
        self.until_answered().await;
        let shown = "document.querySelector('#picture').naturalWidth === 640";
        self.browser.until(shown).await;
        assert!(self.text("#timings").await.starts_with("640 × 427"));
        assert!(self.text("#snippet").await.contains(&host.picture(PICTURE)));

        self.browser.click("#camera").await;
        self.browser
            .until("document.querySelector('#video').videoWidth > 0")
            .await;
        self.browser.click("#shoot").await;
        let taken = "document.querySelector('#snippet').textContent.includes('camera.jpg')";
        self.browser.until(taken).await;
        self.until_answered().await;
    }

    /// By chance, a picture may have any class on it.
    async fn names_can_be_read_on_every_colour(&self) {
        let labels = "return import('/page/overlay.js').then(({colour}) => { \
            const sheet = document.body.appendChild(document.createElement('p')); \
            for (let id = 0; id < 91; id++) { \
                const label = sheet.appendChild(document.createElement('span')); \
                label.textContent = `class ${id} `; \
                label.style.color = colour(id).ink; \
                label.style.background = colour(id).paint; \
            } \
            return axe.run(sheet, {runOnly: 'color-contrast'}) \
                .then(({violations, passes}) => (sheet.remove(), [violations, passes[0].nodes.length])); \
        })";
        if self.axe.is_some() {
            assert_eq!(self.browser.run(labels, json!([])).await, json!([[], 91]));
        }
    }

    async fn look_at_a_crowd(&self, picture: &Path) {
        self.browser.enter("#file", picture.to_str().unwrap()).await;
        self.until_answered().await;
        self.browser.enter("#threshold", HOME).await;
        assert!(self.count("#classes label").await >= 8);
        self.look("crowd").await;
    }

    async fn errors_are_told(&mut self) {
        let folder = tempfile::tempdir().unwrap();
        let (text, large) = (
            folder.path().join("notes.txt"),
            folder.path().join("large.jpg"),
        );
        fs::write(&text, "this is no picture").unwrap();
        fs::write(&large, vec![0xff; 2 << 20]).unwrap();

        self.browser.enter("#file", text.to_str().unwrap()).await;
        self.until_told("this is text, expected a picture").await;
        assert_eq!(self.count("#stage").await, 0);
        self.look("error").await;
        self.browser.enter("#file", large.to_str().unwrap()).await;
        self.until_told("larger than 1.0 mib (--max-body)").await;

        // All places are taken by requests whose pictures do not come.
        let host = PictureHost::start([]).await;
        let held = [(); 3].map(|()| {
            let request = self.server.client().post(self.server.url("/predict"));
            let request = request.body(json!({"url": host.url("never")}).to_string());
            // Again where one of those below had the place.
            let hold = async move {
                while let Ok(reply) = request.try_clone().unwrap().send().await {
                    assert_eq!(reply.status(), 429);
                }
            };
            tokio::spawn(hold)
        });
        while self.server.post("/predict", "text").await.status() != 429 {}
        self.browser.click("#compute").await;
        self.until_told("(--queue). try again in 1 s.").await;
        for request in held {
            request.abort();
        }

        let complaints = self.browser.complaints().await;
        for fault in ["Content Security Policy", "Uncaught", "SyntaxError"] {
            let bad = complaints
                .iter()
                .find(|complaint| complaint.contains(fault));
            assert!(bad.is_none(), "{bad:?}");
        }

        self.server.kill();
        self.browser.click("#compute").await;
        self.until_told("the server does not answer").await;
    }

    /// Waits until the page tells of this error.
    async fn until_told(&self, words: &str) {
        let told = "document.querySelector('#error').textContent.toLowerCase()";
        self.browser
            .until(&format!("{told}.includes('{words}')"))
            .await;
    }

    /// Takes screenshots on a phone and on a desk, by day and by night, on which nothing sticks out and which keep
    /// nobody out.
    async fn look(&self, what: &str) {
        for (device, size) in [("phone", [390, 844]), ("desktop", [1280, 900])] {
            for scheme in ["light", "dark"] {
                self.browser.screen(size, scheme).await;
                let name = format!("{what}-{device}-{scheme}");
                self.browser
                    .screenshot(&self.folder.join(format!("{name}.png")))
                    .await;
                let beyond = "return document.documentElement.scrollWidth - innerWidth";
                let beyond = self.browser.run(beyond, json!([])).await;
                assert!(
                    beyond.as_i64().unwrap() <= 0,
                    "{name}: {beyond} pixels stick out"
                );
                let Some(axe) = &self.axe else { continue };
                self.browser.run(axe, json!([])).await;
                let faults = self.browser.run(FAULTS, json!([])).await;
                assert_eq!(faults, json!([]), "{name}");
            }
        }
    }
}

/// What axe takes to be serious or worse.
const FAULTS: &str = "return axe.run().then(({violations}) => violations \
    .filter(({impact}) => ['serious', 'critical'].includes(impact)) \
    .map(({id, nodes}) => [id, nodes.map(({html, failureSummary}) => [html, failureSummary])]))";

/// A picture that is being downloaded.
async fn saved(path: &Path) -> image::DynamicImage {
    for _ in 0..500 {
        if let Some(picture) = fs::read(path)
            .ok()
            .and_then(|bytes| image::load_from_memory(&bytes).ok())
        {
            return picture;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {}", path.display());
}
