//! The relay over the outbox in memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use events::testing::{MemoryOutbox, ticket_event};
use events::{Backlog, Event, HandleError, Outbox as _, Subscriber, TicketFact};
use insightdesk_worker::{Delivery, Relay, Worker};
use kernel::{Clock as _, EventId, ManualClock, PortError};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// What a scripted subscriber does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Succeed,
    FailOnce,
    Fail,
    GiveUp,
    Panic,
    Hang,
}

/// A subscriber that follows a script, by the event's number, and remembers what it succeeded with.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    script: Mutex<HashMap<u128, Act>>,
    handled: Mutex<Vec<u128>>,
    begun: Notify,
}

impl Scripted {
    fn new(name: &'static str, script: &[(u128, Act)]) -> Arc<Self> {
        Arc::new(Self {
            name,
            script: Mutex::new(script.iter().copied().collect()),
            handled: Mutex::default(),
            begun: Notify::new(),
        })
    }

    fn handled(&self) -> Vec<u128> {
        self.handled.lock().unwrap().clone()
    }
}

#[async_trait]
impl Subscriber for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let number = event.id.0.as_u128();
        self.begun.notify_one();
        let act = self
            .script
            .lock()
            .unwrap()
            .get(&number)
            .copied()
            .unwrap_or(Act::Succeed);
        match act {
            Act::Succeed => {
                self.handled.lock().unwrap().push(number);
                Ok(())
            }
            Act::FailOnce => {
                self.script.lock().unwrap().remove(&number);
                Err(down())
            }
            Act::Fail => Err(down()),
            Act::GiveUp => Err(HandleError::GiveUp("no such thing".into())),
            Act::Panic => panic!("a bad template"),
            Act::Hang => std::future::pending().await,
        }
    }
}

fn down() -> HandleError {
    PortError::Unavailable {
        port: "mail",
        source: "connection refused".into(),
    }
    .into()
}

struct Scene {
    outbox: Arc<MemoryOutbox>,
    clock: Arc<ManualClock>,
    wake_up: Arc<Notify>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(
            DateTime::from_timestamp(1_767_225_600, 0).unwrap(),
        ));
        Self {
            outbox: Arc::new(MemoryOutbox::new(Arc::clone(&clock))),
            clock,
            wake_up: Arc::new(Notify::new()),
        }
    }

    fn relay(&self, subscribers: &[&Arc<Scripted>]) -> Relay {
        let outbox = Arc::<MemoryOutbox>::clone(&self.outbox);
        let subscribers = subscribers
            .iter()
            .map(|one| Arc::<Scripted>::clone(one) as Arc<dyn Subscriber>)
            .collect();
        Relay::new(
            outbox,
            subscribers,
            Arc::<ManualClock>::clone(&self.clock),
            Arc::clone(&self.wake_up),
        )
    }

    /// Publishes events, given as (number, ticket).
    fn publish(&self, events: &[(u128, u128)]) {
        let events: Vec<Event> = events
            .iter()
            .map(|(id, ticket)| ticket_event(*id, *ticket, TicketFact::Created {}))
            .collect();
        self.outbox.put(&events);
    }

    fn waiting(&self) -> Vec<(u128, Duration)> {
        let now: DateTime<Utc> = self.clock.now();
        let waiting = self.outbox.waiting();
        waiting
            .into_iter()
            .map(|(id, at)| (id.0.as_u128(), (at - now).to_std().unwrap_or_default()))
            .collect()
    }
}

#[tokio::test]
async fn every_subscriber_gets_every_event_once_and_in_the_order_of_its_ticket() {
    let scene = Scene::new();
    let (one, other) = (Scripted::new("one", &[]), Scripted::new("other", &[]));
    let events: Vec<(u128, u128)> = (1..=250).map(|number| (number, 1_000 + number % 3)).collect();
    scene.publish(&events);
    let delivery = scene.relay(&[&one, &other]).drain().await.unwrap();
    assert_eq!(
        delivery,
        Delivery {
            delivered: 250,
            ..Delivery::default()
        }
    );
    for subscriber in [&one, &other] {
        let handled = subscriber.handled();
        assert_eq!(handled.len(), 250);
        for ticket in 0..3 {
            let of_ticket: Vec<u128> = handled
                .iter()
                .copied()
                .filter(|number| number % 3 == ticket)
                .collect();
            assert!(of_ticket.is_sorted(), "the order of ticket {ticket}");
        }
    }
    assert_eq!(scene.outbox.backlog().await.unwrap(), Backlog::default());
}

#[tokio::test]
async fn a_failed_event_waits_and_holds_back_its_ticket_alone() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::FailOnce)]);
    let relay = scene.relay(&[&subscriber]);
    scene.publish(&[(1, 10), (2, 10), (3, 20)]);
    let first = relay.drain().await.unwrap();
    assert_eq!(
        first,
        Delivery {
            delivered: 1,
            postponed: 1,
            buried: 0,
            released: 1
        }
    );
    assert_eq!(subscriber.handled(), [3]);
    scene.clock.advance(TimeDelta::seconds(7));
    relay.drain().await.unwrap();
    assert_eq!(subscriber.handled(), [3, 1, 2]);
}

#[tokio::test]
async fn a_subscriber_that_fails_keeps_no_other_from_the_event() {
    let scene = Scene::new();
    let (failing, sound) = (
        Scripted::new("failing", &[(1, Act::FailOnce)]),
        Scripted::new("sound", &[]),
    );
    scene.publish(&[(1, 10)]);
    scene.relay(&[&failing, &sound]).drain().await.unwrap();
    assert_eq!((failing.handled(), sound.handled()), (vec![], vec![1]));
}

#[tokio::test]
async fn the_pauses_double_up_to_an_hour_and_the_tenth_failure_is_the_last() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::Fail)]);
    let relay = scene.relay(&[&subscriber]);
    scene.publish(&[(1, 10), (2, 10)]);
    for expected_secs in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1_280.0] {
        relay.drain().await.unwrap();
        let (number, pause) = scene.waiting()[0];
        assert_eq!(number, 1);
        assert!(
            (pause.as_secs_f64() / expected_secs - 1.0).abs() <= 0.2,
            "{pause:?} for {expected_secs} s"
        );
        scene.clock.advance(TimeDelta::from_std(pause).unwrap());
    }
    let last = relay.drain().await.unwrap();
    assert_eq!(
        (last.buried, last.delivered),
        (1, 1),
        "the event behind it goes on"
    );
    let (id, reason) = scene.outbox.buried().remove(0);
    assert_eq!(id, EventId(Uuid::from_u128(1)));
    assert_eq!(
        reason,
        "one: will be tried again: mail is unavailable: connection refused"
    );
}

#[tokio::test]
async fn an_event_that_nobody_can_handle_is_given_up_at_once() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::GiveUp)]);
    scene.publish(&[(1, 10), (2, 10)]);
    let delivery = scene.relay(&[&subscriber]).drain().await.unwrap();
    assert_eq!(
        delivery,
        Delivery {
            delivered: 1,
            buried: 1,
            ..Delivery::default()
        }
    );
    assert_eq!(scene.outbox.buried()[0].1, "one: no such thing");
}

#[tokio::test]
async fn giving_up_waits_for_a_subscriber_that_may_still_succeed() {
    let scene = Scene::new();
    let (gives_up, fails_once) = (
        Scripted::new("a", &[(1, Act::GiveUp)]),
        Scripted::new("b", &[(1, Act::FailOnce)]),
    );
    for order in [[&gives_up, &fails_once], [&fails_once, &gives_up]] {
        fails_once.script.lock().unwrap().insert(1, Act::FailOnce);
        let scene_of_order = Scene::new();
        scene_of_order.publish(&[(1, 10)]);
        let relay = scene_of_order.relay(&order);
        assert_eq!(relay.drain().await.unwrap().postponed, 1);
        scene_of_order.clock.advance(TimeDelta::seconds(7));
        assert_eq!(relay.drain().await.unwrap().buried, 1);
    }
    assert_eq!(fails_once.handled(), [1, 1]);
    assert_eq!(scene.outbox.buried(), []);
}

#[tokio::test]
async fn a_panic_counts_as_a_failure_and_harms_nobody_else() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::Panic)]);
    scene.publish(&[(1, 10), (2, 20)]);
    let delivery = scene.relay(&[&subscriber]).drain().await.unwrap();
    assert_eq!(
        delivery,
        Delivery {
            delivered: 1,
            postponed: 1,
            ..Delivery::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_hangs_is_cut_off() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::Hang)]);
    scene.publish(&[(1, 10), (2, 20)]);
    let delivery = scene.relay(&[&subscriber]).drain().await.unwrap();
    assert_eq!(
        delivery,
        Delivery {
            delivered: 1,
            postponed: 1,
            ..Delivery::default()
        }
    );
}

#[tokio::test]
async fn a_wake_up_brings_events_at_once_and_a_shutdown_ends_the_worker() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[]);
    let relay = scene.relay(&[&subscriber]);
    let (end, ended) = oneshot::channel::<()>();
    let worker = Worker::new().with_relay(relay).run(async {
        let _ = ended.await;
    });
    let rest = async {
        for number in 1..=3 {
            scene.publish(&[(number, 10)]);
            scene.wake_up.notify_one();
            subscriber.begun.notified().await;
        }
        end.send(()).unwrap();
    };
    let both = async { tokio::join!(worker, rest) };
    tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .expect("it ends");
    assert_eq!(subscriber.handled(), [1, 2, 3]);
    assert_eq!(scene.outbox.backlog().await.unwrap(), Backlog::default());
}

#[tokio::test(start_paused = true)]
async fn without_a_wake_up_the_outbox_is_looked_at_within_five_seconds() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[]);
    let relay = scene.relay(&[&subscriber]);
    let look = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.publish(&[(1, 10)]);
        let start = tokio::time::Instant::now();
        subscriber.begun.notified().await;
        assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
    };
    tokio::select! {
        () = relay.run() => {}
        () = look => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_back_what_was_not_begun() {
    let scene = Scene::new();
    let subscriber = Scripted::new("one", &[(1, Act::Hang)]);
    let relay = scene.relay(&[&subscriber]);
    scene.publish(&[(1, 10), (2, 10), (3, 10)]);
    let stop = async {
        subscriber.begun.notified().await;
        relay.stop();
    };
    tokio::join!(relay.run(), stop);
    assert_eq!(subscriber.handled(), []);
    assert!(
        scene.waiting().iter().skip(1).all(|(_, pause)| pause.is_zero()),
        "{:?}",
        scene.waiting()
    );
}
