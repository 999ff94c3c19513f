//! Paginated lists.

use serde_json::Value;

use crate::answer::Answer;

/// More pages than any test requests. It bounds the number of requests if links form a cycle.
const MAX_PAGES: usize = 200;

/// Returns the pages of a list from the page at `query` on, following the links. `get` requests one page.
pub async fn follow(query: &str, get: impl AsyncFn(&str) -> Answer) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut query = query.to_owned();
    loop {
        let answer = get(&query).await;
        pages.push(answer.list());
        let Some(next) = answer.next_page() else { return pages };
        answer.check(next != query, "a link that leads on");
        assert!(pages.len() < MAX_PAGES, "no end after {MAX_PAGES} pages: {answer}");
        query = next.to_owned();
    }
}
