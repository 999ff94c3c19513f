//! Explores the schedules of a scenario: all of them, or one chosen at random.

use std::collections::HashMap;
use std::fmt;

use shared::config::Config;

use crate::scenario::Scenario;
use crate::store::Tables;
use crate::world::{Step, World};

/// Maximum number of states, so that a test ends within a minute.
const MOST_STATES: usize = 2_000_000;

/// A schedule that ends in an invalid state.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// Description of the fault.
    pub fault: String,
    /// Steps that led to the fault.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.fault)?;
        self.steps.iter().enumerate().try_for_each(|(index, step)| writeln!(out, "{:4}  {step}", index + 1))
    }
}

/// Size of an exploration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Number of distinct states.
    pub states: usize,
    /// Number of steps between states.
    pub steps: usize,
    /// Number of states without necessary steps.
    pub quiet: usize,
    /// Number of schedules from the beginning to a state without steps.
    pub schedules: u128,
    /// Number of steps of the longest schedule.
    pub longest: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, quiet, schedules, longest } = self;
        write!(out, "{schedules} schedules of up to {longest} steps ({states} states, {steps} steps, {quiet} ends)")
    }
}

/// A scenario and the data derived from it once.
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

    fn counterexample(&self, steps: &[&Step], fault: String) -> Box<Counterexample> {
        Box::new(Counterexample { fault, steps: self.course(steps, true).into_log() })
    }
}

/// A state of the world.
#[derive(Default)]
struct State {
    /// Previous state and step on the first path to this state.
    reached: Option<(usize, Step)>,
    next: Vec<usize>,
}

/// Returns the steps of the first path to a state.
fn way(states: &[State], to: usize) -> Vec<&Step> {
    let before = |at: &usize| states[*at].reached.as_ref().map(|(from, _)| *from);
    let mut steps: Vec<_> = std::iter::successors(Some(to), before)
        .filter_map(|at| states[at].reached.as_ref().map(|(_, step)| step))
        .collect();
    steps.reverse();
    steps
}

/// Explores all schedules of `scenario`, the shortest first, so that the first counterexample is one of the shortest.
///
/// Running code cannot be copied, so each state is reached by repeating the steps that led to it. A state reached
/// before on another path is not explored again.
///
/// # Errors
/// The counterexample.
pub fn explore(scenario: &Scenario) -> Result<Explored, Box<Counterexample>> {
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
                    return Err(stage.counterexample(&[&way_here[..], &[&step]].concat(), fault));
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

/// Returns the number of schedules that start in a state, and the length of the longest.
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

/// Kind of step that a draw selects, by its upper byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A step of the task that ran last.
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

/// Result of one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// Number of steps taken.
    pub steps: usize,
    /// Number of anomalies at the end.
    pub anomalies: usize,
}

/// Runs the schedule of `scenario` that `draws` select. After the last draw, the steps follow in order and without
/// faults.
///
/// # Errors
/// The counterexample.
pub fn run(scenario: &Scenario, draws: &[u16]) -> Result<Ran, Box<Counterexample>> {
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
        Some(fault) => Err(stage.counterexample(&taken.iter().collect::<Vec<_>>(), fault)),
        None => Ok(Ran { steps: taken.len(), anomalies: world.tables.anomalies.len() }),
    }
}

/// Returns the next step without a draw: calls first, newest first, then the stream.
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
        // The newest call belongs to the task that ran last.
        [.., last] if kind == Kind::GoOn => Some(last),
        _ => Some(of_kind[number * of_kind.len() / 256]),
    }
}
