//! Goes through the courses that a scenario can take: all of them, or one that is drawn by lot.

use std::collections::HashMap;
use std::fmt;

use shared::config::Config;

use crate::scenario::Scenario;
use crate::store::Tables;
use crate::world::{Step, World};

/// More states than this are not for a test that is to end within a minute.
const MOST_STATES: usize = 2_000_000;

/// A course that ends where it must not.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is wrong.
    pub fault: String,
    /// How it came about.
    pub steps: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.fault)?;
        self.steps.iter().enumerate().try_for_each(|(index, step)| writeln!(out, "{:4}  {step}", index + 1))
    }
}

/// What was gone through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// States that differ.
    pub states: usize,
    /// Steps from state to state.
    pub steps: usize,
    /// States in which nothing has to happen any more.
    pub quiet: usize,
    /// Courses from the beginning to where no step is left: how many schedules these states stand for.
    pub schedules: u128,
    /// Steps of the longest.
    pub longest: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, quiet, schedules, longest } = self;
        write!(out, "{schedules} schedules of up to {longest} steps ({states} states, {steps} steps, {quiet} ends)")
    }
}

/// A scenario and what is made of it once.
struct Stage<'a> {
    scenario: &'a Scenario,
    config: Config,
    tables: Tables,
}

impl<'a> Stage<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let config = scenario.rules.config();
        let tables = scenario.tables(&config);
        Self { scenario, config, tables }
    }

    fn begin(&self, logs: bool) -> World<'_> {
        World::new(self.scenario, &self.config, self.tables.clone(), logs)
    }

    fn course(&self, steps: &[&Step], logs: bool) -> World<'_> {
        let mut world = self.begin(logs);
        steps.iter().for_each(|step| world.take(step));
        world
    }

    fn violation(&self, steps: &[&Step], fault: String) -> Box<Violation> {
        Box::new(Violation { fault, steps: self.course(steps, true).into_log() })
    }
}

/// A state of the world.
#[derive(Default)]
struct State {
    /// From which state and by which step it was first reached.
    reached: Option<(usize, Step)>,
    next: Vec<usize>,
}

/// The steps on which a state was first reached.
fn way(states: &[State], to: usize) -> Vec<&Step> {
    let before = |at: &usize| states[*at].reached.as_ref().map(|(from, _)| *from);
    let mut steps: Vec<_> = std::iter::successors(Some(to), before)
        .filter_map(|at| states[at].reached.as_ref().map(|(_, step)| step))
        .collect();
    steps.reverse();
    steps
}

/// Goes through all courses of `scenario`, the shortest first, so that the first violation is one of the shortest.
///
/// Running code cannot be copied, so that each state is reached by taking the steps that led to it anew. A state that
/// was reached before on another way is not gone through again.
///
/// # Errors
/// The violation.
pub fn explore(scenario: &Scenario) -> Result<Explored, Box<Violation>> {
    let stage = Stage::new(scenario);
    let mut known = HashMap::from([(stage.begin(false).state(), 0)]);
    let mut states = vec![State::default()];
    let mut explored = Explored::default();
    let mut index = 0;
    while index < states.len() {
        let way_here = way(&states, index);
        let here = stage.course(&way_here, false);
        explored.quiet += usize::from(here.is_quiet());
        let mut new = Vec::new();
        let mut next = Vec::new();
        let steps = here.steps();
        let mut here = Some(here);
        for step in steps {
            let mut world = here.take().unwrap_or_else(|| stage.course(&way_here, false));
            world.take(&step);
            let unknown = states.len() + new.len();
            let reached = *known.entry(world.state()).or_insert(unknown);
            if reached == unknown {
                if let Some(fault) = world.fault() {
                    return Err(stage.violation(&[&way_here[..], &[&step]].concat(), fault));
                }
                new.push(State { reached: Some((index, step)), next: Vec::new() });
            }
            next.push(reached);
        }
        explored.steps += next.len();
        states[index].next = next;
        states.extend(new);
        assert!(states.len() < MOST_STATES, "too many states");
        index += 1;
    }
    explored.states = states.len();
    (explored.schedules, explored.longest) = courses(&states, 0, &mut vec![None; states.len()]);
    Ok(explored)
}

/// How many courses go on from a state, and how long the longest is.
fn courses(states: &[State], from: usize, memo: &mut [Option<(u128, usize)>]) -> (u128, usize) {
    if let Some(known) = memo[from] {
        return known;
    }
    let mut found = (u128::from(states[from].next.is_empty()), 0);
    for next in &states[from].next {
        let (schedules, longest) = courses(states, *next, memo);
        found = (found.0 + schedules, found.1.max(longest + 1));
    }
    memo[from] = Some(found);
    found
}

/// What a draw is about, by its upper byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The task that ran last goes on.
    GoOn,
    Any,
    Stream,
    Retry,
    Fault,
}

impl Kind {
    fn of(draw: u16) -> Self {
        match draw >> 8 {
            0..100 => Self::GoOn,
            100..220 => Self::Any,
            220..242 => Self::Stream,
            242..250 => Self::Retry,
            _ => Self::Fault,
        }
    }

    fn holds(self, step: &Step) -> bool {
        match step {
            Step::Answer(_) | Step::AnswerStale(_) => matches!(self, Self::GoOn | Self::Any),
            Step::Deliver(..) => self == Self::Stream,
            Step::Retry(_) => self == Self::Retry,
            Step::Cut(_) | Step::Crash(_) => self == Self::Fault,
        }
    }
}

/// What one course came to.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// Steps taken.
    pub steps: usize,
    /// Anomalies in the end.
    pub anomalies: usize,
}

/// Takes the one course of `scenario` that `draws` choose. Where they end, all goes on in order and without a fault.
///
/// # Errors
/// The violation.
pub fn run(scenario: &Scenario, draws: &[u16]) -> Result<Ran, Box<Violation>> {
    let stage = Stage::new(scenario);
    let mut world = stage.begin(false);
    let mut taken = Vec::new();
    let mut draws = draws.iter().copied();
    loop {
        let mut steps = world.steps();
        let Some(choice) = draws.next().map_or_else(|| in_order(&steps), |draw| drawn(&steps, draw)) else { break };
        let step = steps.swap_remove(choice);
        world.take(&step);
        taken.push(step);
    }
    match world.fault() {
        Some(fault) => Err(stage.violation(&taken.iter().collect::<Vec<_>>(), fault)),
        None => Ok(Ran { steps: taken.len(), anomalies: world.tables.anomalies.len() }),
    }
}

/// Without a draw: calls first, newest first, then the stream.
fn in_order(steps: &[Step]) -> Option<usize> {
    let call = steps.iter().position(|step| matches!(step, Step::Answer(_)));
    call.or_else(|| steps.iter().rposition(|step| matches!(step, Step::Deliver(..))))
}

fn drawn(steps: &[Step], draw: u16) -> Option<usize> {
    let kind = Kind::of(draw);
    let of_kind: Vec<_> = (0..steps.len()).filter(|index| kind.holds(&steps[*index])).collect();
    let number = usize::from(draw & 255);
    match of_kind[..] {
        [] => in_order(steps),
        // The newest call is that of the task that ran last.
        [.., last] if kind == Kind::GoOn => Some(last),
        _ => Some(of_kind[number * of_kind.len() / 256]),
    }
}
