//! The story of the demo: a week of conversations and events that end at a given time.
//!
//! Everything depends only on that time, and ordinary conversations only on their day. So the same story has the same ids,
//! and the story of another day adds to the days that both have in common only what is new.

use serde_json::{Value, json};
use shared::time::Timestamp;
use time::{Date, Duration, OffsetDateTime};

use super::dice::Dice;
use super::items::{Item, millis, object};
use super::texts::{Agent, Conversation, Texts};

/// The number of days before the last day.
const DAYS: i64 = 7;
/// The frequencies of 0 to 3 conversations of a user with an agent, on a weekday and on a day of the weekend.
const PER_WEEKDAY: [u32; 4] = [25, 45, 22, 8];
const PER_WEEKEND_DAY: [u32; 4] = [55, 33, 12, 0];
/// The frequencies of the hours in which conversations begin.
const HOURS: [u32; 24] = [1, 1, 0, 0, 0, 1, 2, 4, 7, 9, 10, 9, 7, 8, 9, 9, 8, 7, 6, 6, 7, 5, 3, 2];
/// The longest and the shortest time between two turns, in seconds.
const PAUSE_SECONDS: (u32, u32) = (25, 160);
/// The time before the end in which users who are stressed at the end have no other conversation.
const SILENCE: Duration = Duration::hours(3);

/// The hour of the day before the last one in which the release does not work.
const INCIDENT_HOUR: u8 = 14;
/// The minutes of that hour in which conversations begin.
const INCIDENT_MINUTES: (u32, u32) = (3, 50);
/// The minutes after the beginning of that hour in which conversations about the recovery begin.
const RECOVERY_MINUTES: (u32, u32) = (68, 150);
/// The versions of the agent: its usual version, and the release that does not work.
const VERSION: &str = "2.3";
const RELEASE: &str = "2.4";

/// The number of users who press a button again and again during the incident.
const IMPATIENT_USERS: usize = 6;
/// The number of presses of the first impatient user. Each further user presses twice more.
const PRESSES: i64 = 12;
const PRESS_PAUSE: Duration = Duration::milliseconds(180);
/// The user whose app synchronises too often, each night of the last week.
const RESTLESS_USER: &str = "oscar";
const RESTLESS_AGENT: &str = "shop";
const RESTLESS_NIGHTS: i64 = 7;
const RESTLESS_EVENTS: i64 = 24;
const RESTLESS_PAUSE: Duration = Duration::milliseconds(150);
/// The number of events, within a second, of the user whose conversation is the newest.
const LAST_BURST: i64 = 15;
const LAST_BURST_PAUSE: Duration = Duration::milliseconds(60);
const LAST_BURST_BEFORE_END: Duration = Duration::minutes(4);
/// One in this many conversations ends with a rating.
const RATED: u32 = 3;

/// The conversations and events, in order of time for each user.
#[derive(Debug)]
pub(super) struct Story {
    pub interactions: Vec<Interaction>,
    pub events: Vec<Item>,
    /// The beginning of the incident.
    pub incident: OffsetDateTime,
    pub end: OffsetDateTime,
}

/// A turn of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Interaction {
    /// The signal that the classifier finds.
    pub signal: String,
    pub item: Item,
}

/// A conversation at certain times.
struct Session<'a> {
    agent: &'a Agent,
    user: &'a str,
    conversation: &'a Conversation,
    /// The name of the session. Without a name, the session is named after its topic and its beginning.
    id: Option<String>,
    version: &'static str,
    times: Vec<OffsetDateTime>,
}

/// The newest conversation of a story, by which an earlier run of the same day can be found.
#[derive(Debug)]
pub(super) struct Marker {
    pub agent: &'static str,
    pub user: String,
    pub session_id: String,
    /// The time between the last turn and the end of the story.
    pub before_end: Duration,
}

impl Story {
    /// Returns the story that ends at `end`.
    pub fn until(end: OffsetDateTime, texts: &Texts) -> Self {
        let yesterday = end.date() - Duration::DAY;
        let incident = yesterday.midnight().assume_utc() + Duration::hours(INCIDENT_HOUR.into());
        let mut story = Self { interactions: Vec::new(), events: Vec::new(), incident, end };
        for agent in &texts.agents {
            story.usual_days(agent, texts);
            story.incident(agent, texts);
            for conversation in &agent.now {
                story.stressed_now(agent, conversation);
            }
        }
        story.restless_nights();
        story.last_burst(&Marker::of(end.date(), texts));
        let end = millis(end);
        story.interactions.retain(|interaction| interaction.item.millis <= end);
        story.events.retain(|event| event.millis <= end);
        story.interactions.sort_by(|one, other| {
            let key = |item: &Item| (item.agent.clone(), item.user.clone(), item.millis);
            key(&one.item).cmp(&key(&other.item))
        });
        story.events.sort_by(|one, other| (&one.user, one.millis).cmp(&(&other.user, other.millis)));
        story
    }

    /// Adds the ordinary conversations with `agent`.
    fn usual_days(&mut self, agent: &Agent, texts: &Texts) {
        for user in &agent.users {
            let conversations = texts.usual(agent, user);
            let is_stressed_now = texts.agents.iter().flat_map(|agent| &agent.now).any(|one| one.user == *user);
            let until = if is_stressed_now { self.end - SILENCE } else { self.end };
            // Users go through the conversations in the same order and begin with different ones.
            let first = Dice::of(&format!("{} {user}", agent.name)).below(1_000) as usize;
            for before in 0..=DAYS {
                let day = self.end.date() - Duration::days(before);
                let mut dice = Dice::of(&format!("{} {user} {day}", agent.name));
                let is_weekend = day.weekday().number_days_from_monday() >= 5;
                let count = dice.weighted(if is_weekend { &PER_WEEKEND_DAY } else { &PER_WEEKDAY });
                for ordinal in 0..count {
                    let hour = i64::try_from(dice.weighted(&HOURS)).unwrap_or_default();
                    let second = i64::from(dice.below(3_600));
                    let start = day.midnight().assume_utc() + Duration::hours(hour) + Duration::seconds(second);
                    let index = first + day.to_julian_day() as usize + 7 * ordinal;
                    let Some(conversation) = conversations.get(index % conversations.len().max(1)) else { continue };
                    let times = turn_times(start, conversation, &mut dice);
                    if times.last().is_none_or(|&last| last > until) {
                        continue;
                    }
                    let session = Session { agent, user, conversation, id: None, version: VERSION, times };
                    self.rate(&session, &mut dice);
                    self.converse(&session, &mut dice);
                }
            }
        }
    }

    /// Adds the conversations of the incident, if there was one with `agent`, and of the time after it.
    fn incident(&mut self, agent: &Agent, texts: &Texts) {
        if agent.incident.is_empty() {
            return;
        }
        let users: Vec<_> = agent.users.iter().filter(|user| texts.is_english(user)).collect();
        for (index, user) in users.into_iter().enumerate() {
            let mut dice = Dice::of(&format!("incident {user} {}", self.incident.date()));
            let start = self.incident + minutes(INCIDENT_MINUTES, &mut dice);
            let conversation = &agent.incident[index % agent.incident.len()];
            let times = turn_times(start, conversation, &mut dice);
            self.converse(&Session { agent, user, conversation, id: None, version: RELEASE, times }, &mut dice);
            if index < IMPATIENT_USERS {
                let presses = PRESSES + 2 * i64::try_from(index).unwrap_or_default();
                let first = start + Duration::seconds(15);
                let payload = json!({ "button": "pay" });
                self.burst(agent.name, user, "payment_retry", presses, (first, PRESS_PAUSE), &payload);
            }
            if let Some(conversation) = agent.recovery.get(index % 4) {
                let start = self.incident + minutes(RECOVERY_MINUTES, &mut dice);
                let times = turn_times(start, conversation, &mut dice);
                self.converse(&Session { agent, user, conversation, id: None, version: VERSION, times }, &mut dice);
            }
        }
    }

    /// Adds a conversation that ends shortly before the story.
    fn stressed_now(&mut self, agent: &Agent, conversation: &Conversation) {
        let mut dice = Dice::of(&format!("now {}", conversation.user));
        let last = self.end - Duration::minutes(conversation.ends_minutes_ago);
        let mut times = turn_times(last, conversation, &mut dice);
        let shift = times.last().map_or(Duration::ZERO, |&end| end - last);
        times.iter_mut().for_each(|time| *time -= shift);
        let id = Some(session_now(conversation, self.end.date()));
        let user = &conversation.user;
        self.converse(&Session { agent, user, conversation, id, version: VERSION, times }, &mut dice);
    }

    /// Adds the events of an app that synchronises too often at night.
    fn restless_nights(&mut self) {
        for before in 0..RESTLESS_NIGHTS {
            let day = self.end.date() - Duration::days(before);
            let minute = 30 + i64::from(Dice::of(&format!("sync {day}")).below(20));
            let first = day.midnight().assume_utc() + Duration::hours(2) + Duration::minutes(minute);
            let times = (first, RESTLESS_PAUSE);
            let payload = json!({ "source": "background" });
            self.burst(RESTLESS_AGENT, RESTLESS_USER, "sync", RESTLESS_EVENTS, times, &payload);
        }
    }

    /// Adds the events of the user of `marker`.
    fn last_burst(&mut self, marker: &Marker) {
        let times = (self.end - LAST_BURST_BEFORE_END, LAST_BURST_PAUSE);
        let payload = json!({ "button": "retry" });
        self.burst(marker.agent, &marker.user, "stressed", LAST_BURST, times, &payload);
    }

    /// Adds a rating at the end of some sessions. The number of stars agrees with the last text.
    fn rate(&mut self, session: &Session<'_>, dice: &mut Dice) {
        let (Some(&last), Some(turn)) = (session.times.last(), session.conversation.turns.last()) else { return };
        if dice.below(RATED) == 0 {
            let stars = match turn.signal.as_str() {
                "positive" => 5,
                "stressed" => 1,
                _ => 4,
            };
            let times = (last + Duration::seconds(20), Duration::ZERO);
            self.burst(session.agent.name, session.user, "rating", 1, times, &json!({ "stars": stars }));
        }
    }

    /// Adds `count` events of `user`. `times` has the time of the first one and the time between two.
    fn burst(
        &mut self,
        agent: &'static str,
        user: &str,
        signal_type: &str,
        count: i64,
        times: (OffsetDateTime, Duration),
        payload: &Value,
    ) {
        let (first, pause) = times;
        for ordinal in 0..count {
            let millis = millis(first) + i64::try_from(pause.whole_milliseconds()).unwrap_or_default() * ordinal;
            let body = json!({
                "agent_id": agent,
                "user_id": user,
                "signal_type": signal_type,
                "timestamp": Timestamp::clamped_millis(millis).to_rfc3339_millis(),
                "payload": payload,
            });
            self.events.push(Item { agent: agent.to_owned(), user: user.to_owned(), millis, body: object(body) });
        }
    }

    /// Adds the turns of `session`.
    fn converse(&mut self, session: &Session<'_>, dice: &mut Dice) {
        let Session { agent, user, conversation, id, version, times } = session;
        let Some(start) = times.first() else { return };
        let session_id = id.clone().unwrap_or_else(|| {
            let (month, day, hour, minute) = (u8::from(start.month()), start.day(), start.hour(), start.minute());
            format!("{}-{month:02}{day:02}-{hour:02}{minute:02}", conversation.topic)
        });
        let words: Vec<_> =
            agent.words.iter().filter_map(|(word, values)| Some((format!("{{{word}}}"), dice.pick(values)?))).collect();
        let fill = |text: &str| words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
        let channel = if dice.below(3) == 0 { "app" } else { "web" };
        for (turn, &time) in conversation.turns.iter().zip(times) {
            let (response_type, impact) = match (turn.is_escalated, turn.signal.as_str()) {
                (true, _) => ("handover", -0.5),
                (_, "stressed") => ("apology", -0.4),
                (_, "uncertain") => ("clarification", -0.1),
                (_, "positive") => ("confirmation", 0.3),
                _ => ("answer", 0.0),
            };
            let body = json!({
                "agent_id": agent.name,
                "user_id": user,
                "user_input": fill(&turn.user_input),
                "agent_output": fill(&turn.agent_output),
                "response_type": response_type,
                "coherence_score_impact": impact,
                "escalation_flag": turn.is_escalated,
                "session_id": session_id,
                "metadata": { "version": version, "channel": channel },
            });
            let item = Item {
                agent: agent.name.to_owned(),
                user: (*user).to_owned(),
                millis: millis(time),
                body: object(body),
            };
            self.interactions.push(Interaction { signal: turn.signal.clone(), item });
        }
    }
}

impl Marker {
    /// Returns the marker of stories that end on `day`.
    pub fn of(day: Date, texts: &Texts) -> Self {
        let newest = texts.agents.iter().flat_map(|agent| agent.now.iter().map(move |one| (agent.name, one)));
        let newest = newest.min_by_key(|(_, conversation)| conversation.ends_minutes_ago);
        let (agent, user, session_id, before_end) = newest.map_or(Default::default(), |(agent, conversation)| {
            let before_end = Duration::minutes(conversation.ends_minutes_ago);
            (agent, conversation.user.clone(), session_now(conversation, day), before_end)
        });
        Self { agent, user, session_id, before_end }
    }

    /// Returns whether `interaction` belongs to the marker.
    pub fn has(&self, interaction: &Interaction) -> bool {
        interaction.item.body.get("session_id").is_some_and(|session_id| *session_id == self.session_id)
    }
}

/// Returns the session of `conversation` in stories that end on `day`.
fn session_now(conversation: &Conversation, day: Date) -> String {
    format!("{}-{day}", conversation.topic)
}

/// Returns the times of the turns of `conversation`, which begins at `start`.
fn turn_times(start: OffsetDateTime, conversation: &Conversation, dice: &mut Dice) -> Vec<OffsetDateTime> {
    let (shortest, longest) = PAUSE_SECONDS;
    let mut time = start;
    let next = |_: &_| {
        let this = time;
        let pause = Duration::seconds((shortest + dice.below(longest - shortest)).into());
        time += pause + Duration::milliseconds(dice.below(1_000).into());
        this
    };
    conversation.turns.iter().map(next).collect()
}

/// Returns a time within a range of minutes.
fn minutes((from, to): (u32, u32), dice: &mut Dice) -> Duration {
    Duration::seconds((60 * from + dice.below(60 * (to - from))).into())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use shared::config::Config;
    use shared::logging::{Classifier, Interaction as Parsed};

    use super::*;

    /// A Wednesday.
    fn noon(days: i64) -> OffsetDateTime {
        Date::from_ordinal_date(2026, 14).expect("a day").midnight().assume_utc()
            + Duration::hours(12)
            + Duration::days(days)
    }

    fn story(end: OffsetDateTime) -> Story {
        Story::until(end, &Texts::load().expect("texts"))
    }

    fn items(story: &Story) -> impl Iterator<Item = &Item> {
        story.interactions.iter().map(|one| &one.item).chain(&story.events)
    }

    fn text(item: &Item, field: &str) -> String {
        item.body[field].as_str().expect("text").to_owned()
    }

    fn ids(story: &Story) -> BTreeSet<[u8; 32]> {
        items(story).map(Item::hash).collect()
    }

    #[test]
    fn each_text_has_the_signal_that_the_classifier_finds() {
        let classifier = Classifier::new(&Config::compiled_in().expect("a configuration").classifier);
        // All values of all words occur within some weeks.
        let texts: BTreeSet<_> = (0..8)
            .flat_map(|week| story(noon(7 * week)).interactions)
            .map(|one| (text(&one.item, "user_input"), one.signal))
            .collect();
        assert!(texts.len() > 250, "{}", texts.len());
        let found = |text: &str| classifier.classify(text).signal.as_str().to_owned();
        let wrong: Vec<_> = texts.iter().filter(|(text, signal)| found(text) != *signal).collect();
        assert!(wrong.is_empty(), "the classifier finds other signals: {wrong:#?}");
        assert!(texts.iter().all(|(text, _)| !text.contains(['{', '}'])));
    }

    #[test]
    fn interactions_are_accepted_by_the_api_and_have_unique_ids() {
        let story = story(noon(0));
        for one in &story.interactions {
            let parsed =
                Parsed::parse(Value::Object(one.item.body.clone()).to_string().as_bytes()).expect("an interaction");
            assert!(parsed.into_unchecked().ignored.is_empty());
        }
        assert_eq!(ids(&story).len(), story.interactions.len() + story.events.len());
    }

    #[test]
    fn story_has_a_week_of_all_users_and_ends_now() {
        let end = noon(0);
        let story = story(end);
        let users: BTreeSet<_> = story.interactions.iter().map(|one| one.item.user.as_str()).collect();
        assert_eq!(users.len(), 40);
        assert!((900..1_800).contains(&story.interactions.len()), "{}", story.interactions.len());
        let all_times = || items(&story).map(|item| item.millis);
        let days = Duration::milliseconds(millis(end) - all_times().min().expect("a time")).whole_days();
        let newest = Duration::milliseconds(millis(end) - all_times().max().expect("a time"));
        assert!((6..=8).contains(&days) && newest >= Duration::ZERO && newest <= Duration::minutes(2), "{days}");
    }

    #[test]
    fn release_stresses_users_for_one_hour() {
        for end in [noon(0), noon(0) - Duration::hours(12), noon(0) + Duration::hours(11)] {
            let story = story(end);
            let share = |from: Duration, to: Duration| {
                let (from, to) = (millis(story.incident + from), millis(story.incident + to));
                let of_shop = story.interactions.iter().filter(|one| one.item.agent == "shop");
                let hour: Vec<_> = of_shop.filter(|one| (from..to).contains(&one.item.millis)).collect();
                let stressed: Vec<_> = hour.iter().filter(|one| one.signal == "stressed").collect();
                let users: BTreeSet<_> = stressed.iter().map(|one| &one.item.user).collect();
                (100 * stressed.len() / hour.len().max(1), users.len())
            };
            let hours = |from, to| share(Duration::hours(from), Duration::hours(to));
            let (bad, usual, after) = (hours(0, 1), hours(-72, 0), hours(1, 6));
            assert!(bad.0 >= 50 && bad.1 >= 15, "{bad:?}");
            assert!(usual.0 <= 20 && after.0 <= 20, "{usual:?} {after:?}");
        }
    }

    #[test]
    fn users_who_are_stressed_now_wrote_so_last() {
        let texts = Texts::load().expect("texts");
        for hour in [0, 3, 9, 23] {
            let end = noon(0) - Duration::hours(12) + Duration::hours(hour);
            let story = story(end);
            let mut last = BTreeMap::new();
            for one in &story.interactions {
                let newest = last.entry((one.item.agent.as_str(), &one.item.user)).or_insert(one);
                if one.item.millis >= newest.item.millis {
                    *newest = one;
                }
            }
            for agent in &texts.agents {
                assert!(!agent.now.is_empty());
                for conversation in &agent.now {
                    let newest = last[&(agent.name, &conversation.user)];
                    assert_eq!(newest.signal, "stressed", "{}", conversation.user);
                    assert_eq!(newest.item.millis, millis(end - Duration::minutes(conversation.ends_minutes_ago)));
                }
            }
        }
    }

    #[test]
    fn bursts_are_of_eight_users() {
        let story = story(noon(0));
        let mut bursts = BTreeMap::<_, Vec<i64>>::new();
        for event in story.events.iter().filter(|event| event.body["signal_type"] != "rating") {
            bursts.entry((event.user.as_str(), text(event, "signal_type"))).or_default().push(event.millis);
        }
        assert_eq!(bursts.len(), 2 + IMPATIENT_USERS, "{:?}", bursts.keys());
        for (burst, times) in &bursts {
            // Windows of five seconds.
            let most =
                times.iter().map(|time| times.iter().filter(|other| (0..5_000).contains(&(*other - time))).count());
            assert!(most.max().expect("an event") > 10, "{burst:?}");
        }
    }

    #[test]
    fn same_end_makes_the_same_story() {
        assert_eq!(ids(&story(noon(0))), ids(&story(noon(0))));
    }

    #[test]
    fn next_day_keeps_the_conversations_of_earlier_days() {
        let (today, tomorrow) = (ids(&story(noon(0))), ids(&story(noon(1))));
        let kept = today.intersection(&tomorrow).count();
        assert!(kept * 10 > today.len() * 6, "{kept} of {}", today.len());
    }

    #[test]
    fn marker_is_found_in_the_story_of_its_day() {
        let texts = Texts::load().expect("texts");
        let story = story(noon(0));
        let marker = Marker::of(noon(0).date(), &texts);
        let newest = story.interactions.iter().filter(|one| marker.has(one)).max_by_key(|one| one.item.millis);
        let newest = &newest.expect("the marker's conversation").item;
        assert_eq!((newest.agent.as_str(), &newest.user), (marker.agent, &marker.user));
        assert_eq!(newest.millis, millis(story.end - marker.before_end));
    }
}
