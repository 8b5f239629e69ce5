//! The page in a real browser, used as a person would: by reading, clicking and typing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::after_this_process;
use crate::support::browser::{Browser, CONTROL, ENTER, TAB};
use crate::support::program::{Server, succeed};

const QUESTION: &str = "How would CD14 monocytes respond to interferon beta?";

/// Home and database with the starter data, made once for all tests here.
fn starter() -> (&'static Path, &'static str) {
    static HOME: OnceLock<(PathBuf, String)> = OnceLock::new();
    let (home, database) = HOME.get_or_init(|| {
        let home = tempfile::Builder::new().prefix("haystack-page-").tempdir().unwrap().keep();
        after_this_process("rm -rf \"$1\"", &[home.to_str().unwrap()]);
        let database = format!("sqlite://{}/haystack.db", home.display());
        succeed(&home, &database, &["migrate"]);
        succeed(&home, &database, &["import", "starter"]);
        (home, database)
    });
    (home, database)
}

async fn server() -> Server {
    let (home, database) = tokio::task::spawn_blocking(starter).await.unwrap();
    Server::start(home, database).await
}

/// A finished run of a question, asked over HTTP.
async fn answered(server: &Server, question: &str) -> String {
    let body = json!({"query": question, "random_seed": 1});
    let (code, _, created) = server.post("/api/v1/runs/", &body).await;
    assert_eq!(code, 201, "{created}");
    let run = created["run_id"].as_str().unwrap().to_owned();
    assert_eq!(server.finished(&run).await["status"], "completed");
    run
}

async fn no_complaints(browser: &Browser) {
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
}

async fn is_true(browser: &Browser, script: &str) -> bool {
    browser.run(&format!("return {script}")).await == Value::Bool(true)
}

#[tokio::test]
async fn a_question_is_asked_followed_and_answered() {
    let Some(browser) = Browser::start().await else { return };
    let server = server().await;
    browser.open(&server.url).await;

    // What one is told before asking.
    browser.wait_for("#notice", "simulated, not measured").await;
    browser.wait_for("#notice", "mean-shift baseline").await;
    let disabled = "document.getElementById('submit').disabled";
    assert!(is_true(&browser, disabled).await);
    browser.type_into("#question", "B cells? ").await;
    assert!(is_true(&browser, disabled).await, "nine characters are too few");
    browser.click("#held summary").await;
    browser.wait_for("#held-perturbations", "interferon beta").await;
    browser.wait_for("#held-cell-types", "natural killer cell").await;

    // An example fills the question; it is read before it is asked.
    browser.click("#examples button").await;
    assert_eq!(browser.run("return document.getElementById('question').value").await, QUESTION);
    assert!(!is_true(&browser, disabled).await);
    browser.wait_for("#reading", "CL:0001054").await;
    browser.wait_for("#reading", "uniprot:P01574").await;
    browser.wait_for("#reading", "control cells of 4 donors match").await;
    browser.click("#settings summary").await;
    browser.type_into("#seed", "1").await;
    browser.click("#submit").await;

    // The run has an address of its own, which leads to the result.
    browser.wait_for("#run-title", QUESTION).await;
    let address = browser.address().await;
    assert!(address.starts_with(&format!("{}/runs/run_", server.url)), "{address}");
    browser.wait_for("#run-status", "completed").await;
    browser.wait_for("#figures", "/ 10").await;
    check_result(&browser, &server, &address).await;

    // The report opens in a tab of its own and is drawn, though it may run nothing.
    browser.click("#downloads a").await;
    browser.enter_newest_window().await;
    browser.wait_for("h1", QUESTION).await;
    assert!(browser.text("main").await.contains("SIMULATED") || browser.text("main").await.contains("Simulated"));
    let drawn = "(() => { const plot = document.querySelector('svg'); return plot.getBoundingClientRect().height > 100 \
                 && getComputedStyle(plot.querySelector('.up')).fill !== getComputedStyle(plot.querySelector('.down')).fill })()";
    assert!(is_true(&browser, drawn).await, "a volcano plot with its colours");
    no_complaints(&browser).await;
    browser.close_window().await;

    // Back to the question, forward to the run, and to it again by the list.
    browser.back().await;
    browser.wait_for("#ask-title", "respond to what").await;
    let link = format!("#recent a[href='{}']", address.strip_prefix(&server.url).unwrap());
    browser.wait_for(&link, QUESTION).await;
    browser.forward().await;
    browser.wait_for("#figures", "/ 10").await;
    browser.click(".back a").await;
    browser.wait_for(&link, QUESTION).await;
    browser.click(&link).await;
    browser.wait_for("#figures", "/ 10").await;
    assert_eq!(browser.address().await, address);
    browser.open(&address).await;
    browser.wait_for("#figures", "/ 10").await;
    no_complaints(&browser).await;
}

/// What the page shows is what the API says.
async fn check_result(browser: &Browser, server: &Server, address: &str) {
    let run = address.rsplit('/').next().unwrap();
    let (_, _, result) = server.get(&format!("/api/v1/runs/{run}/result")).await;
    let score = result["grounding_score"].as_u64().unwrap();
    assert!(browser.text("#figures").await.contains(&format!("{score} / 10")));
    assert!(browser.text("#run-facts").await.contains("SIMULATED"));
    let notices = browser.text("#result-notices").await;
    assert!(notices.contains("Draw no biological conclusion") && notices.contains("mean shift"), "{notices}");
    let first = result["top_upregulated"][0]["symbol"].as_str().unwrap();
    assert!(browser.text("#up tbody tr").await.starts_with(first), "{first} comes first");
    assert!(browser.text("#down tbody").await.contains('−'), "what falls has a minus sign");
    let rises = result["top_upregulated"].as_array().unwrap().len();
    assert!(rises > 10, "more than are shown at first");
    browser.click("#up .more button").await;
    let rows = browser.run("return document.querySelectorAll('#up tbody tr').length").await;
    assert_eq!(rows, rises);
    assert!(browser.text("#pathways").await.contains("Interferon alpha/beta response"));
    assert!(browser.text("#factors").await.contains("STAT1"));
    for component in result["components"].as_array().unwrap() {
        let place = if component["value"].is_null() { "#left-out" } else { "#components" };
        let title = component["title"].as_str().unwrap();
        assert!(browser.text(place).await.contains(title), "{title} is in {place}");
    }
    let measured = browser.text("#measured-text").await;
    assert!(measured.contains("simulated") && !measured.contains("really measured"), "{measured}");
    assert!(browser.text("#prompts").await.contains("paired control cells"));
    assert!(browser.text("#made").await.contains("Seed 1"));
    for name in ["anndata_url", "report_url", "report_html_url", "log_url"] {
        let place = result[name].as_str().unwrap().split('?').next().unwrap();
        assert!(
            is_true(browser, &format!("!!document.querySelector(\"#downloads a[href^='{place}']\")")).await,
            "{name}"
        );
    }
    let title = browser.run("return document.title").await;
    assert_eq!(title, format!("{score}/10 · {QUESTION}"));
}

#[tokio::test]
async fn the_api_is_described_for_people() {
    let Some(browser) = Browser::start().await else { return };
    let server = server().await;
    browser.open(&server.url).await;
    browser.click("footer a").await;
    browser.wait_for("#operations", "/api/v1/runs/validate-control-strategy").await;
    let (_, _, description) = server.get("/openapi.json").await;
    let operations = browser.text("#operations").await;
    for path in description["paths"].as_object().unwrap().keys() {
        assert!(operations.contains(path), "{path}");
    }
    const CREATE: &str = "details[id='post /api/v1/runs/']";
    browser.click(&format!("{CREATE} summary")).await;
    browser.wait_for(&format!("{CREATE}[open]"), "application/problem+json").await;
    // A type that is named is a link to it.
    browser.click(&format!("{CREATE} a[href='#type-CreateRun']")).await;
    browser.wait_for("#type-CreateRun[open]", "max_iterations").await;
    assert!(browser.text("#type-CreateRun").await.contains("lfc_threshold"), "inner fields too");
    no_complaints(&browser).await;
}

#[tokio::test]
async fn what_cannot_be_answered_says_why_and_stays_text() {
    let Some(browser) = Browser::start().await else { return };
    let server = server().await;
    browser.open(&server.url).await;

    // A slip is noticed while typing, and the run says it again.
    let slip = "How would monocites respond to interferon beta?";
    browser.type_into("#question", slip).await;
    browser.wait_for("#reading", "Did you mean monocyte (CL:0000576)").await;
    browser.click("#submit").await;
    browser.wait_for("#run-status", "failed").await;
    browser.wait_for("#failure", "No cell type called 'monocites' is held. Did you mean monocyte").await;
    browser.click("#again").await;
    browser.wait_for("#ask-title", "respond to what").await;
    assert_eq!(browser.run("return document.getElementById('question').value").await, slip);

    // Markup in a question is text wherever the question comes back.
    let markup = "How would <img src=x onerror=\"window.harmed=1\"> respond to IL-6?";
    browser.retype("#question", markup).await;
    browser.wait_for("#reading", "img src=x").await;
    browser.click("#submit").await;
    browser.wait_for("#run-status", "failed").await;
    assert_eq!(browser.text("#run-title").await, markup);
    browser.click(".back a").await;
    browser.wait_for("#recent", markup).await;
    assert!(is_true(&browser, "!window.harmed && !document.querySelector('img')").await);

    browser.open(&format!("{}/runs/run_000000000000", server.url)).await;
    browser.wait_for("#failure", "There is no run run_000000000000.").await;
    browser.click("#again").await;
    browser.wait_for("#ask-title", "respond to what").await;
    no_complaints(&browser).await;
}

#[tokio::test]
async fn a_run_can_be_followed_and_cancelled() {
    let Some(browser) = Browser::start().await else { return };
    let (_, database) = tokio::task::spawn_blocking(starter).await.unwrap();
    // The one slot for inference is taken, so that the run waits there.
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[jobs]\nslots = 1\n").unwrap();
    let slots = home.path().join("jobs/slots");
    std::fs::create_dir_all(&slots).unwrap();
    let slot = File::create(slots.join("0.lock")).unwrap();
    slot.lock().unwrap();
    let server = Server::start(home.path(), database).await;

    browser.open(&format!("{}/?question=How+would+B+cells+respond+to+IL-6%3F", server.url)).await;
    browser.wait_for("#reading", "interleukin-6").await;
    browser.click("#submit").await;
    browser.wait_for("#progress-text", "Running inference, iteration 1 of at most 5.").await;
    assert_eq!(browser.text("#phases [aria-current=step]").await, "Running inference");
    assert!(browser.text("#phases .done").await.starts_with("Reading the question"));
    assert!(browser.text("#run-facts").await.contains("CL:0000236"));
    browser.click("#cancel").await;
    browser.wait_for("#run-status", "cancelled").await;
    browser.wait_for("#failure", "cancelled before it was finished").await;
    assert_eq!(browser.text("#cancel").await + &browser.text("#result").await, "");
    assert_eq!(browser.text("#again").await, "Ask it again");
    no_complaints(&browser).await;
}

/// Every visible text whose colour is too close to what is behind it (WCAG 2.2, 1.4.3: 4.5 to 1).
const FAINT: &str = r"
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    const says = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!says || !node.checkVisibility() || node.disabled || node.tagName === 'OPTION') continue;
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${node.tagName}.${node.className} '${node.textContent.trim().slice(0, 40)}'`);
  }
  return faint;";

#[tokio::test]
async fn the_page_fits_a_phone_and_is_readable_in_light_and_dark() {
    let Some(browser) = Browser::start().await else { return };
    let server = server().await;
    let run = answered(&server, QUESTION).await;
    for (path, shown) in [
        ("/?question=How+would+quokkas+respond+to+IL-6", "#reading"),
        (&*format!("/runs/{run}"), "#figures"),
        ("/docs", "#type-Problem"),
    ] {
        for (width, dark) in [(390, false), (390, true), (1280, false), (1280, true)] {
            browser.resize(width, 844, 1.0).await;
            browser.prefer_dark(dark).await;
            browser.open(&format!("{}{path}", server.url)).await;
            browser.wait_for(shown, "").await;
            browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true })").await;
            let room = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
            assert!(room[0].as_u64() <= room[1].as_u64(), "{path} is {} wide where {} are", room[0], room[1]);
            let paper = browser.run("return getComputedStyle(document.body).backgroundColor").await;
            assert_eq!(paper == "rgb(255, 255, 255)", !dark, "{paper}");
            assert_eq!(browser.run(FAINT).await, json!([]), "faint at {path}, dark: {dark}");
        }
    }
    no_complaints(&browser).await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let Some(browser) = Browser::start().await else { return };
    let server = server().await;
    browser.open(&server.url).await;
    browser.wait_for("#notice", "simulated").await;
    let focus = "const at = document.activeElement; return at.id || at.textContent.trim()";
    let mut order = Vec::new();
    for _ in 0..7 {
        browser.press(&[], TAB).await;
        order.push(browser.run(focus).await.as_str().unwrap().to_owned());
        let ring = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(ring, "solid", "{order:?}: what has the focus can be seen");
    }
    let examples = "Array.from(document.querySelectorAll('#examples button'), (b) => b.textContent)";
    let examples = browser.run(&format!("return {examples}")).await;
    let mut expected = vec!["HAYSTACK", "question"];
    expected.extend(examples.as_array().unwrap().iter().map(|text| text.as_str().unwrap()));
    expected.extend(["Settings", "What can be asked about"]);
    assert_eq!(order, expected);

    // An example by Enter, and the question by Control and Enter.
    browser.run("document.querySelector('#examples button').focus()").await;
    browser.press(&[], ENTER).await;
    browser.wait_for("#reading", "CL:0001054").await;
    assert_eq!(browser.run(focus).await, "question");
    browser.press(&[CONTROL], ENTER).await;
    browser.wait_for("#run-title", QUESTION).await;
    browser.wait_for("#figures", "/ 10").await;
    no_complaints(&browser).await;
}

/// Not a test: takes the picture of the README. `make screenshot` calls it.
#[tokio::test]
#[ignore = "writes assets/screenshot.png"]
async fn screenshot() {
    let browser = Browser::start().await.expect("a browser");
    let server = server().await;
    let run = answered(&server, QUESTION).await;
    browser.resize(1280, 1000, 2.0).await;
    browser.open(&format!("{}/runs/{run}", server.url)).await;
    browser.wait_for("#figures", "/ 10").await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/screenshot.png");
    std::fs::write(file, browser.screenshot().await).unwrap();
}
