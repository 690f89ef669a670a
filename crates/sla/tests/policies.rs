//! Use cases of policies, on the fake store; and the fake store itself.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use insightdesk_sla::testing::build::{actor, at, draft, in_hours, office, promise};
use insightdesk_sla::testing::{MemoryPolicies, MockPolicyStore, contract};
use insightdesk_sla::{
    Guard, NewPolicy, POLICIES_MAX, PolicyChange, PolicyCommitError, PolicyError, PolicyFact, PolicyFilter,
    PolicyId, PolicyName, PolicyRef, PolicyStore as _, SlaPolicies, SlaPolicy,
};
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Answer, Classify as _, FailureKind, ManualClock, Patch, Receipt, RequestKey, RequestReceipt, Role,
    SequentialIds, SystemActor, Version,
};
use serde_json::json;

struct World {
    store: Arc<MemoryPolicies>,
    policies: SlaPolicies,
    admin: Actor,
}

fn world() -> World {
    let store = Arc::new(MemoryPolicies::default());
    let clock = Arc::new(ManualClock::at(at("2026-06-01T12:00:00Z")));
    World {
        policies: SlaPolicies::new(store.clone(), clock, Arc::new(SequentialIds::default())),
        store,
        admin: actor(Role::Admin),
    }
}

impl World {
    async fn makes(&self, name: &str) -> SlaPolicy {
        let new = NewPolicy {
            draft: draft(name),
            is_default: false,
        };
        self.policies
            .create(&self.admin, &new, &no_receipt)
            .await
            .unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let policies = self.policies.list(&self.admin).await.unwrap();
        policies
            .iter()
            .map(|policy| policy.name.as_str().to_owned())
            .collect()
    }

    async fn default(&self) -> Vec<String> {
        let mut policies = self.policies.list(&self.admin).await.unwrap();
        policies.retain(|policy| policy.is_default);
        policies
            .iter()
            .map(|policy| policy.name.as_str().to_owned())
            .collect()
    }
}

fn guard<T>() -> Guard<'static, T> {
    Guard::none()
}

fn renamed(name: &str) -> PolicyChange {
    PolicyChange {
        name: Some(PolicyName::stored(name.to_owned())),
        ..PolicyChange::default()
    }
}

#[tokio::test]
async fn the_fake_keeps_what_every_store_promises() {
    contract::policy_store(
        Arc::new(MemoryPolicies::default()),
        Arc::new(SequentialIds::default()),
    )
    .await;
}

#[tokio::test]
async fn staff_read_policies_and_administrators_write_them() {
    let world = world();
    let policy = world.makes("Standard").await;
    let callers = [
        (actor(Role::User), false, false),
        (actor(Role::Agent), true, false),
        (actor(Role::Admin), true, true),
        (Actor::System(SystemActor::Import), true, true),
    ];
    for (caller, reads, writes) in callers {
        let policies = &world.policies;
        let kind = |result: Result<(), PolicyError>| result.err().map(|error| error.kind());
        let refused = |may: bool| (!may).then_some(FailureKind::Forbidden);
        let reading = [
            policies.list(&caller).await.map(drop),
            policies.show(&caller, policy.id).await.map(drop),
            policies.terms(&caller, policy.reference()).await.map(drop),
        ];
        for result in reading {
            assert_eq!(kind(result), refused(reads), "{caller:?}");
        }
        let new = NewPolicy {
            draft: draft("Other"),
            is_default: false,
        };
        let made = policies.create(&caller, &new, &no_receipt).await;
        let order: Vec<_> = world
            .store
            .policies()
            .await
            .unwrap()
            .iter()
            .map(|policy| policy.id)
            .collect();
        let writing = [
            policies
                .change(&caller, policy.id, &renamed("Standard"), guard())
                .await
                .map(drop),
            policies.set_default(&caller, policy.id, guard()).await.map(drop),
            policies.reorder(&caller, &order, &no_receipt).await.map(drop),
            match &made {
                Ok(made) => policies.delete(&caller, made.id, None, guard()).await,
                // Nobody learns by a refusal what there is.
                Err(_) => {
                    policies
                        .delete(&caller, PolicyId(kernel::id::Uuid::nil()), None, guard())
                        .await
                }
            },
            made.map(drop),
        ];
        for result in writing {
            assert_eq!(kind(result), refused(writes), "{caller:?}");
        }
    }
}

#[tokio::test]
async fn the_first_policy_is_the_default_and_there_is_always_exactly_one() {
    let world = world();
    let first = world.makes("First").await;
    let second = world.makes("Second").await;
    assert!(first.is_default && !second.is_default);
    world
        .policies
        .set_default(&world.admin, second.id, guard())
        .await
        .unwrap();
    assert_eq!(world.default().await, ["Second"]);
    let new = NewPolicy {
        draft: draft("Third"),
        is_default: true,
    };
    let third = world
        .policies
        .create(&world.admin, &new, &no_receipt)
        .await
        .unwrap();
    assert_eq!(world.default().await, ["Third"]);
    let refused = world.policies.delete(&world.admin, third.id, None, guard()).await;
    assert_eq!(refused.unwrap_err().code(), "sla_policy.is_default");
    world
        .policies
        .delete(&world.admin, third.id, Some(first.id), guard())
        .await
        .unwrap();
    assert_eq!(world.default().await, ["First"]);
    for id in [second.id, first.id] {
        world
            .policies
            .delete(&world.admin, id, None, guard())
            .await
            .unwrap();
    }
    assert_eq!(world.names().await, [""; 0], "the last one may go");
}

#[tokio::test]
async fn a_policy_in_use_goes_only_with_a_successor() {
    let world = world();
    let (first, second) = (world.makes("First").await, world.makes("Second").await);
    world.store.set_usage(second.id, 12);
    let refused = world
        .policies
        .delete(&world.admin, second.id, None, guard())
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "sla_policy.in_use")
    );
    assert!(refused.detail().contains("12 tickets"), "{}", refused.detail());
    for successor in [second.id, PolicyId(kernel::id::Uuid::nil())] {
        let refused = world
            .policies
            .delete(&world.admin, second.id, Some(successor), guard())
            .await;
        assert_eq!(refused.unwrap_err().violations()[0].pointer, "/successorId");
    }
    world
        .policies
        .delete(&world.admin, second.id, Some(first.id), guard())
        .await
        .unwrap();
    assert_eq!(world.store.usage(first.id).await.unwrap(), 12);
    // What it promised can still be told.
    assert!(
        world
            .policies
            .terms(&world.admin, second.reference())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn terms_move_with_the_promise_and_the_calendars_version_with_the_hours() {
    let world = world();
    let policy = world.makes("Standard").await;
    let change = |change: PolicyChange| {
        let (world, id) = (&world, policy.id);
        async move {
            world
                .policies
                .change(&world.admin, id, &change, guard())
                .await
                .unwrap()
        }
    };
    let versions = |policy: &SlaPolicy| {
        (
            policy.version.0,
            policy.terms_version.0,
            policy.calendar_version.0,
        )
    };
    let with = |promise| PolicyChange {
        promise: Some(promise),
        ..PolicyChange::default()
    };
    assert_eq!(versions(&change(renamed("Other")).await), (2, 1, 1));
    assert_eq!(
        versions(&change(renamed("Other")).await),
        (2, 1, 1),
        "nothing changed"
    );
    assert_eq!(versions(&change(with(promise(30, 60))).await), (3, 3, 1));
    let hours = in_hours(promise(30, 60), office("UTC"));
    assert_eq!(versions(&change(with(hours)).await), (4, 4, 4));
    let filter = PolicyFilter::stored(json!({ "field": "priority", "operator": "is_set" }));
    let filtered = change(PolicyChange {
        filter: Patch::Set(filter),
        description: Patch::Set("For some.".to_owned()),
        ..PolicyChange::default()
    });
    assert_eq!(versions(&filtered.await), (5, 4, 4));
    for (version, minutes) in [(1, 60), (3, 30), (4, 30)] {
        let reference = PolicyRef {
            id: policy.id,
            version: Version(version),
        };
        let terms = world.policies.terms(&world.admin, reference).await.unwrap();
        assert_eq!(terms.promise.targets.first_response.get(), minutes);
    }
    let told: Vec<_> = world.store.events().iter().map(|event| event.what).collect();
    let promised = |version| {
        PolicyFact::PromiseChanged(PolicyRef {
            id: policy.id,
            version: Version(version),
        })
    };
    assert_eq!(
        told,
        [
            PolicyFact::Created,
            PolicyFact::Changed,
            promised(3),
            promised(4),
            PolicyFact::Changed,
        ]
    );
}

#[tokio::test]
async fn an_order_names_each_policy_once() {
    let world = world();
    let (a, b, c) = (
        world.makes("A").await,
        world.makes("B").await,
        world.makes("C").await,
    );
    let reordered = world
        .policies
        .reorder(&world.admin, &[c.id, a.id, b.id], &no_receipt)
        .await
        .unwrap();
    assert_eq!(
        reordered.iter().map(|policy| policy.place).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(world.names().await, ["C", "A", "B"]);
    for order in [
        vec![],
        vec![a.id, b.id],
        vec![a.id, b.id, b.id],
        vec![a.id, b.id, c.id, c.id],
    ] {
        let refused = world
            .policies
            .reorder(&world.admin, &order, &no_receipt)
            .await
            .unwrap_err();
        assert_eq!(refused.violations()[0].code, "not_all");
    }
}

#[tokio::test]
async fn a_stale_precondition_changes_nothing_and_says_the_version_of_now() {
    let world = world();
    let policy = world.makes("Standard").await;
    let stale = Guard {
        expected: Some(Version(7)),
        ..Guard::none()
    };
    let refused = world
        .policies
        .change(&world.admin, policy.id, &renamed("Other"), stale)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.current_version()),
        (FailureKind::Stale, Some(Version(1)))
    );
    assert_eq!(world.names().await, ["Standard"]);
}

#[tokio::test]
async fn a_repeated_request_has_no_effect() {
    let world = world();
    let receipt = |_: &SlaPolicy| {
        let key = RequestKey {
            principal: kernel::id::Uuid::nil(),
            key: "key".into(),
            route: "POST /sla/policies".into(),
            request_sha256: [3; 32],
        };
        let answer = Answer {
            status: 201,
            etag: None,
            location: None,
            body: "{}".into(),
        };
        Some(Receipt::Request(RequestReceipt { key, answer }))
    };
    let new = NewPolicy {
        draft: draft("Standard"),
        is_default: true,
    };
    world.policies.create(&world.admin, &new, &receipt).await.unwrap();
    let again = world.policies.create(&world.admin, &new, &receipt).await;
    assert_eq!(again.unwrap_err().code(), "request.repeated");
    assert_eq!(world.names().await, ["Standard"]);
}

#[tokio::test]
async fn every_refusal_has_a_code_of_its_own() {
    let world = world();
    let unknown = PolicyId(kernel::id::Uuid::nil());
    let refused = world.policies.show(&world.admin, unknown).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::NotFound, "sla_policy.not_found")
    );
    for index in 0..POLICIES_MAX {
        world.makes(&format!("Policy {index}")).await;
    }
    let new = NewPolicy {
        draft: draft("One more"),
        is_default: false,
    };
    let refused = world
        .policies
        .create(&world.admin, &new, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "sla_policy.too_many")
    );
}

#[tokio::test]
async fn who_is_always_overtaken_gives_up_and_says_that_it_is_busy() {
    let mut store = MockPolicyStore::new();
    store.expect_policies().times(8).returning(|| Ok(Vec::new()));
    store
        .expect_commit()
        .times(8)
        .returning(|_| Err(PolicyCommitError::Stale));
    let clock = Arc::new(ManualClock::at(at("2026-06-01T12:00:00Z")));
    let policies = SlaPolicies::new(Arc::new(store), clock, Arc::new(SequentialIds::default()));
    let new = NewPolicy {
        draft: draft("Standard"),
        is_default: false,
    };
    let refused = policies
        .create(&actor(Role::Admin), &new, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Unavailable, "server.busy")
    );
}
