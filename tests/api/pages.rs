//! Lists that come in pages.

use serde_json::Value;

use crate::answer::Answer;

/// More pages than any test asks for: links that lead in a circle end here.
const MAX_PAGES: usize = 200;

/// The pages of a list from the one at `query` on, as the links lead from each to the next. `get` asks for one.
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
