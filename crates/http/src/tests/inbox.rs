//! Notifications over HTTP.

use actix_web::http::Method;
use kernel::{EventId, EventReceipt, Receipt, UserId};
use notifications::{Kind, Notification, NotificationCommit, NotificationId, NotificationStore};
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;

async fn tell(world: &World, user: &str, number: u128) {
    let notification = Notification {
        id: NotificationId(Uuid::from_u128(number)),
        user: UserId(user.parse().unwrap()),
        kind: Kind::InternalNote,
        title: format!("Note {number}"),
        message: "Someone wrote a note.".to_owned(),
        data: json!({ "ticketId": number.to_string() }),
        read_at: None,
        created_at: chrono::DateTime::from_timestamp(1_767_603_600 + i64::try_from(number).unwrap(), 0)
            .unwrap(),
        dedupe_key: None,
    };
    let event = EventId(Uuid::from_u128(number));
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "test",
        event,
        step: "tell",
    });
    let commit = NotificationCommit {
        notifications: vec![notification],
        receipt,
    };
    world.notifications.commit(commit).await.unwrap();
}

#[actix_web::test]
async fn people_read_their_own_notifications_and_no_one_elses() {
    let world = World::new().await;
    let me = world.send(world.agent(Method::GET, "/auth/me")).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for number in 1..=3 {
        tell(&world, &me, number).await;
    }
    let list = world
        .send(world.agent(Method::GET, "/notifications?unread=true&count=true&limit=2"))
        .await
        .json();
    assert_eq!(
        (&list["data"][0]["title"], &list["data"][0]["type"]),
        (&json!("Note 3"), &json!("internal_note"))
    );
    assert_eq!(list["page"]["totalCount"], 3);
    assert!(list["page"]["nextCursor"].is_string());

    let one = format!("/notifications/{}/read", Uuid::from_u128(3));
    let read = world.send(world.agent(Method::POST, &one)).await.json();
    assert!(read["readAt"].is_string(), "{read}");
    assert_eq!(world.send(world.agent(Method::POST, &one)).await.json(), read);
    let foreign = world.send(world.admin(Method::POST, &one)).await;
    assert_eq!(foreign.problem(), (404, "notification.not_found".to_owned()));
    assert_eq!(
        world
            .send(world.admin(Method::GET, "/notifications"))
            .await
            .json()["data"],
        json!([])
    );

    assert_eq!(
        world
            .send(world.agent(Method::POST, "/notifications/read-all"))
            .await
            .json()["marked"],
        2
    );
    let unread = world
        .send(world.agent(Method::GET, "/notifications?unread=true&count=true"))
        .await
        .json();
    assert_eq!(
        (&unread["data"], &unread["page"]),
        (&json!([]), &json!({ "nextCursor": Value::Null, "totalCount": 0 }))
    );
    assert_eq!(
        world
            .send(world.agent(Method::GET, "/notifications?count=true"))
            .await
            .status,
        400
    );
}
