//! Tests the listings of names against an in-memory bucket, compared with sorting everything.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::super::store::{Folders, KeyPage};
use super::*;

/// Keys, listed in the order of S3.
#[derive(Default)]
struct Memory {
    keys: BTreeSet<String>,
    lists: AtomicUsize,
}

impl Memory {
    fn add(&mut self, agent: &str, user: &str) {
        let folder = format!("logs/agent_id={}/user_id={}", segment::encode(agent), segment::encode(user));
        self.keys.insert(format!("{folder}/1.jsonl"));
        self.keys.insert(format!("{folder}/2.jsonl"));
    }

    fn after<'a>(&'a self, prefix: &'a str, start_after: Option<&'a str>) -> impl Iterator<Item = &'a String> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let start = start_after.unwrap_or_default();
        self.keys.iter().filter(move |key| key.starts_with(prefix) && key.as_str() > start)
    }
}

impl ListLogs for Memory {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<KeyPage, StoreError> {
        let size = usize::try_from(max_keys).expect("positive");
        let mut keys: Vec<_> = self.after(prefix, start_after).cloned().collect();
        let more = keys.len() > size;
        keys.truncate(size);
        Ok(KeyPage { keys, more })
    }
}

impl ListFolders for Memory {
    async fn folders(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Folders, StoreError> {
        let size = usize::try_from(max_keys).expect("positive");
        let folder = |key: &String| key[prefix.len()..].find('/').map(|end| key[..prefix.len() + end + 1].to_owned());
        let mut folders: Vec<String> = self.after(prefix, start_after).filter_map(folder).collect();
        folders.dedup();
        let more = folders.len() > size;
        folders.truncate(size);
        let resume = if more { folders.last().map(|folder| segment::after_folder(folder)) } else { None };
        for folder in &mut folders {
            folder.pop();
        }
        Ok(Folders { folders, resume })
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn agent(name: &str) -> AgentId {
    AgentId::try_from(name).expect("an agent")
}

/// Returns the names on all pages and the number of pages.
fn all<T>(prefix: &str, limit: usize, get: impl Fn(&NameQuery) -> Names<T>) -> (Vec<T>, usize) {
    let prefix = NamePrefix::try_from(prefix.to_owned()).expect("a prefix");
    let mut query = NameQuery { prefix, cursor: None, limit };
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = get(&query);
        assert!(page.names.len() <= limit);
        names.extend(page.names);
        pages += 1;
        let Some(next) = page.next else { return (names, pages) };
        assert!(query.cursor.as_ref().is_none_or(|cursor| cursor.0 < next.0), "no way forward from {next}");
        query.cursor = Some(NameCursor::parse(&next.to_string()).expect("a cursor"));
    }
}

/// Returns `names` in the order of their S3 folders.
fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort_by_key(|name| format!("{}/", segment::encode(name)));
    names.dedup();
    names
}

#[test]
fn a_folder_that_no_name_was_written_to_is_passed_over() {
    let mut memory = Memory::default();
    memory.add("agent", "user");
    for odd in ["logs/agent_id=a b/user_id=u/1", "logs/agent_id=%2e/x", "logs/agent_id=%ff/x", "logs/agent_id=x"] {
        memory.keys.insert(odd.to_owned());
    }
    for limit in [1, 2, 100] {
        let (agents, _) = all("", limit, |query| block_on(agents(&memory, query)).expect("listed"));
        assert_eq!(agents, [agent("agent")]);
    }
}

#[test]
fn what_no_page_ends_with_is_no_cursor() {
    for text in ["", "a/", "a\n", &"x".repeat(1_025)] {
        assert_eq!(NameCursor::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_key_for_many_agents_looks_for_few_of_them_at_a_time() {
    let mut memory = Memory::default();
    let among: BTreeSet<AgentId> = (0..45).map(|n| agent(&format!("agent {n:02}"))).collect();
    memory.add("agent 44", "user");
    let (found, pages) = all("", 100, |query| {
        let before = memory.lists.load(Ordering::Relaxed);
        let page = block_on(agents_among(&memory, &among, query)).expect("listed");
        assert!(memory.lists.load(Ordering::Relaxed) - before <= MAX_LOOKUPS);
        page
    });
    assert_eq!((found, pages), (vec![agent("agent 44")], 3));
}

proptest! {
    #[test]
    fn every_name_is_found_once_whatever_the_names_and_the_pages(
        pairs in prop::collection::btree_set(("[-a0~ é日]{1,3}", "[-a0~ é日]{1,3}"), 0..25),
        allowed in prop::collection::btree_set("[-a0~ é日]{1,3}", 0..25),
        prefix in "[-a0~ é日]{0,1}",
        limit in 1..6_usize,
    ) {
        let mut memory = Memory::default();
        for (agent, user) in &pairs {
            memory.add(agent, user);
        }
        let begins = |name: &&str| name.starts_with(&prefix);
        let names: Vec<&str> = pairs.iter().map(|(agent, _)| agent.as_str()).collect();
        let text = |ids: Vec<AgentId>| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();

        let (found, pages) = all(&prefix, limit, |query| block_on(agents(&memory, query)).expect("listed"));
        prop_assert_eq!(pages, found.len().div_ceil(limit).max(1), "full pages");
        prop_assert_eq!(text(found), in_order(names.iter().copied().filter(begins)));

        let among = allowed.iter().map(|name| agent(name)).collect();
        let (found, _) = all(&prefix, limit, |query| block_on(agents_among(&memory, &among, query)).expect("listed"));
        let own = names.iter().copied().filter(begins).filter(|name| allowed.contains(*name));
        prop_assert_eq!(text(found), in_order(own));

        for of in names.iter().take(3) {
            let (found, _) =
                all(&prefix, limit, |query| block_on(users(&memory, &agent(of), query)).expect("listed"));
            let own = pairs.iter().filter(|(agent, _)| agent == of).map(|(_, user)| user.as_str()).filter(begins);
            let found: Vec<_> = found.iter().map(|id| id.as_str().to_owned()).collect();
            prop_assert_eq!(found, in_order(own));
        }
    }
}
