//! Which rules can feed each other: what one does sets off the other.
//!
//! Asked when a rule is saved, so that a circle is named before it runs. The answer errs on the side of naming: it follows
//! the events that actions make, the fields that they write and the values that they give them, and leaves a rule out only
//! where its conditions cannot hold then. What really goes round is stopped by the chain, whatever is said here.

use std::collections::BTreeSet;

use events::TicketStatus;
use kernel::filter::Operand;

use crate::action::Action;
use crate::condition::Term;
use crate::engine::RuleSet;
use crate::facts::Held;
use crate::field::Field;
use crate::rule::{Rule, RuleId};
use crate::trigger::TriggerKind;

/// What an action makes happen.
struct Emission {
    /// The triggers of the event.
    kinds: &'static [TriggerKind],
    /// The fields that it writes, each with the value where that is known.
    fields: Vec<(Field, Option<Held>)>,
    /// Whether doing it again changes something again.
    is_repeatable: bool,
}

const UPDATED: &[TriggerKind] = &[TriggerKind::Updated];

fn emission(action: &Action) -> Option<Emission> {
    let sets = |kinds, field: Field, value: Option<Held>| Emission {
        kinds,
        fields: vec![(field, value)],
        is_repeatable: false,
    };
    let id = |id: Option<uuid::Uuid>| Some(id.map_or(Held::Absent, Held::Id));
    Some(match action {
        Action::SetPriority(to) => sets(
            &[TriggerKind::PriorityChanged],
            Field::Priority,
            Some(Held::Text(to.as_str().to_owned())),
        ),
        Action::SetStatus(to) => {
            let kinds: &[TriggerKind] = match to {
                TicketStatus::Open => &[TriggerKind::StatusChanged, TriggerKind::Reopened],
                TicketStatus::Pending | TicketStatus::Resolved | TicketStatus::Closed => {
                    &[TriggerKind::StatusChanged]
                }
            };
            sets(kinds, Field::Status, Some(Held::Text(to.as_str().to_owned())))
        }
        Action::SetAssignee(to) => sets(
            &[TriggerKind::Assigned],
            Field::AssignedTo,
            id(to.map(|user| user.0)),
        ),
        Action::SetTeam(to) => sets(UPDATED, Field::Team, id(to.map(|team| team.0))),
        Action::AddTags(_) | Action::RemoveTags(_) => sets(UPDATED, Field::Tags, None),
        Action::SetTags(tags) => sets(UPDATED, Field::Tags, Some(Held::Tags(tags.clone()))),
        Action::SetCustomField { name, value } => {
            let value = value
                .as_ref()
                .map_or(Held::Absent, |value| Held::Json(value.clone()));
            sets(UPDATED, Field::Custom(name.clone()), Some(value))
        }
        Action::SetSlaPolicy(to) => sets(UPDATED, Field::SlaPolicy, to.map(Held::Id)),
        Action::AssignFrom { .. } => Emission {
            is_repeatable: true,
            ..sets(&[TriggerKind::Assigned], Field::AssignedTo, None)
        },
        Action::SendReply(_) => Emission {
            kinds: &[TriggerKind::MessageAdded],
            fields: vec![
                (Field::MessageVisibility, Some(Held::Text("public".to_owned()))),
                (Field::MessageByRequester, Some(Held::Flag(false))),
                (Field::MessageBody, None),
                (Field::MessageCount, None),
                (Field::LastMessageAt, None),
                (Field::FirstResponseAt, None),
            ],
            is_repeatable: true,
        },
        // Rules hear of no notes, and of nothing that goes outside.
        Action::AddNote(_)
        | Action::Notify { .. }
        | Action::SendEmail { .. }
        | Action::Webhook { .. }
        | Action::Stop => return None,
    })
}

/// Whether what `first` does can set `second` off. A rule can feed itself where doing its work again changes something
/// again.
#[must_use]
pub fn feeds(first: &Rule, second: &Rule) -> bool {
    let is_itself = first.id == second.id;
    Sender::of(first).reaches(&Receiver::of(second), is_itself)
}

/// What a rule makes happen.
struct Sender(Vec<Emission>);

/// What a rule waits for.
struct Receiver<'a> {
    kind: TriggerKind,
    demands: Vec<&'a Term>,
}

impl<'a> Receiver<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self {
            kind: rule.content.trigger.kind(),
            demands: rule.content.conditions.demands(),
        }
    }
}

impl Sender {
    fn of(rule: &Rule) -> Self {
        let actions = rule.content.actions.as_slice().iter();
        Self(actions.filter_map(emission).collect())
    }

    fn reaches(&self, receiver: &Receiver<'_>, is_itself: bool) -> bool {
        let calls = |emission: &Emission| {
            emission.kinds.contains(&receiver.kind) && (!is_itself || emission.is_repeatable)
        };
        if !self.0.iter().any(calls) {
            return false;
        }
        // One commit of all its changes: the last one to write a field decides.
        let written = |field: &Field| {
            let all = self.0.iter().flat_map(|emission| &emission.fields);
            all.filter(|(one, _)| one == field)
                .map(|(_, value)| value)
                .next_back()
        };
        let mut demands = receiver.demands.iter();
        demands.all(|demand| may_hold(demand, written(&demand.field)))
    }
}

/// Whether a term may hold when a rule wrote its field so, or did not write it.
fn may_hold(demand: &Term, written: Option<&Option<Held>>) -> bool {
    match written {
        // An event changes what is written, and nothing else.
        None => !demand.is_about_the_event(),
        Some(None) => true,
        Some(Some(value)) => {
            let operand = value.operand();
            // Nothing is a value for `is_not_set` and its like; for tests of events, a change to nothing passes none.
            match (demand.passes(operand), operand) {
                (Some(passes), _) => passes,
                (None, Operand::Absent) => demand.is_about_the_event(),
                (None, _) => true,
            }
        }
    }
}

impl RuleSet {
    /// The circles of rules: each group can set itself off, over one rule or several. In the order of their first rules.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<RuleId>> {
        let rules = self.rules();
        let receivers: Vec<Receiver<'_>> = rules.iter().map(Receiver::of).collect();
        let edges: Vec<Vec<usize>> = rules
            .iter()
            .enumerate()
            .map(|(from, rule)| {
                let sender = Sender::of(rule);
                let fed = receivers.iter().enumerate();
                fed.filter(|(to, receiver)| sender.reaches(receiver, from == *to))
                    .map(|(to, _)| to)
                    .collect()
            })
            .collect();
        let groups = components(&edges);
        let mut cycles: Vec<Vec<RuleId>> = Vec::new();
        for group in groups {
            let is_cycle = match group.as_slice() {
                [one] => edges.get(*one).is_some_and(|fed| fed.contains(one)),
                _ => true,
            };
            if is_cycle {
                let ids = group.iter().filter_map(|index| rules.get(*index));
                cycles.push(ids.map(|rule| rule.id).collect());
            }
        }
        cycles
    }

    /// The circles that a rule is part of, to be named when it is saved.
    #[must_use]
    pub fn cycles_of(&self, rule: RuleId) -> Vec<Vec<RuleId>> {
        let mut cycles = self.cycles();
        cycles.retain(|cycle| cycle.contains(&rule));
        cycles
    }
}

/// Groups of nodes that reach each other (Kosaraju), each sorted, in the order of their first nodes.
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate() {
        for one in to {
            if let Some(back) = reversed.get_mut(*one) {
                back.push(from);
            }
        }
    }
    let mut seen = vec![false; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        walk(start, edges, &mut seen, &mut order);
    }
    let mut seen = vec![false; edges.len()];
    let mut groups = BTreeSet::new();
    for start in order.into_iter().rev() {
        let mut group = Vec::new();
        walk(start, &reversed, &mut seen, &mut group);
        if !group.is_empty() {
            group.sort_unstable();
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// Adds what can be reached from `start` and was not seen, each node after those it leads to. Without recursion: a chain
/// of rules can be as long as there are rules.
fn walk(start: usize, edges: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    let mut stack = vec![(start, 0)];
    match seen.get_mut(start) {
        Some(seen) if !*seen => *seen = true,
        _ => return,
    }
    while let Some((node, next)) = stack.pop() {
        let Some(target) = edges.get(node).and_then(|targets| targets.get(next)) else {
            order.push(node);
            continue;
        };
        stack.push((node, next + 1));
        if let Some(seen) = seen.get_mut(*target)
            && !*seen
        {
            *seen = true;
            stack.push((*target, 0));
        }
    }
}

#[cfg(test)]
mod tests;
