//! Chromium without a window, driven through chromedriver: <https://www.w3.org/TR/webdriver2/>.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{http, shared::skipped};

/// A browser with one empty page. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    client: Client,
}

/// How long the page may take to become what a test waits for. Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// What WebDriver calls a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// Starts one. Where there is none, says so as a skipped test of the name `test` and answers `None`.
    pub async fn start(test: &str) -> Option<Self> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = driver else {
            skipped(test, "no chromedriver (Debian's chromium-driver)");
            return None;
        };
        let output = driver.stdout.take().expect("stdout is piped");
        let port = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver tells its port");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            client: http::client(),
        };
        let arguments = [
            "--headless=new",
            // For root, in a container.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
        ];
        let wishes = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let wishes = json!({"capabilities": {"alwaysMatch": wishes}});
        let session = browser.command("/session", &wishes).await;
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    /// Goes to a page.
    pub async fn open(&self, url: &str) {
        self.tell("/url", &json!({ "url": url })).await;
    }

    /// What the body of a function of these arguments returns in the page.
    pub async fn run(&self, body: &str, arguments: Value) -> Value {
        let script = json!({"script": body, "args": arguments});
        self.tell("/execute/sync", &script).await
    }

    /// Waits until this expression is true in the page.
    pub async fn until(&self, expression: &str) {
        let begin = Instant::now();
        while self
            .run(&format!("return Boolean({expression})"), json!([]))
            .await
            != true
        {
            if begin.elapsed() > PATIENCE {
                let page = self.run("return document.body.innerText", json!([]));
                panic!("not {expression} after {PATIENCE:?}: {}", page.await);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Clicks on the element of this selector, as a person does: one that is covered fails.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.tell(&format!("/element/{element}/click"), &json!({}))
            .await;
    }

    /// Types into the element of this selector, or names the file that it takes.
    pub async fn enter(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let path = format!("/element/{element}/value");
        self.tell(&path, &json!({ "text": text })).await;
    }

    /// Looks at the page on a screen of this size, which is bright or dark.
    pub async fn screen(&self, [width, height]: [u32; 2], scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({ "features": features });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Writes a picture of the whole page.
    pub async fn screenshot(&self, path: &Path) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.devtools("Page.captureScreenshot", whole).await;
        let data = shot["data"].as_str().expect("a picture in base64");
        let bytes = BASE64_STANDARD.decode(data).expect("base64");
        fs::write(path, bytes).expect("a folder that can be written to");
    }

    /// Saves what the page offers to save in this folder, without asking.
    pub async fn download_to(&self, folder: &Path) {
        let behaviour = json!({"behavior": "allow", "downloadPath": folder});
        self.devtools("Browser.setDownloadBehavior", behaviour)
            .await;
    }

    /// What the page and its browser complained of so far.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    async fn find(&self, selector: &str) -> String {
        let by = json!({"using": "css selector", "value": selector});
        let found = self.tell("/element", &by).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let call = json!({"cmd": command, "params": parameters});
        self.tell("/goog/cdp/execute", &call).await
    }

    async fn tell(&self, path: &str, parameters: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        self.command(&path, parameters).await
    }

    async fn command(&self, path: &str, parameters: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = self.client.post(url).json(parameters).send();
        let (status, mut reply) = http::json(request.await.expect("chromedriver answers")).await;
        assert!(status.is_success(), "{path}: {reply}");
        reply["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its browsers itself, where it is not killed.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The source of axe, which checks pages for what keeps people out: from npm, once for a machine. Where it cannot be
/// had, says so as a skipped test of the name `test` and answers `None`.
pub fn axe(test: &str) -> Option<String> {
    const PACKAGE: &str = "axe-core@4.14.1";
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("segmenter")
        .join(PACKAGE);
    let script = cache.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        // An npm that fails has said why.
        let _ = fs::create_dir_all(&cache);
        let _ = Command::new("npm")
            .args(["install", "--silent", "--no-save", "--ignore-scripts"])
            .arg("--prefix")
            .arg(&cache)
            .arg(PACKAGE)
            .status();
    }
    let source = fs::read_to_string(script).ok();
    if source.is_none() {
        skipped(test, &format!("no {PACKAGE} from npm"));
    }
    source
}
