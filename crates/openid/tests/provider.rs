//! A provider on this machine, honest and not.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use std::sync::Arc;

use identity::SecretToken;
use identity::ports::{CodeReceived, ProviderError, SignOnAsk, SignOnProvider as _, Vouched};
use identity::testing::builders::start;
use kernel::ManualClock;
use openid::testing::{CLIENT_ID, CLIENT_SECRET, Fault, Script, Signing, TestProvider};
use openid::{OpenIdProvider, OpenIdSettings};
use serde_json::{Value, json};

struct World {
    theirs: TestProvider,
    ours: OpenIdProvider,
    clock: Arc<ManualClock>,
}

fn settings(issuer: &str, secret: Option<&str>) -> OpenIdSettings {
    OpenIdSettings {
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: secret.map(str::to_owned),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        verified_claim: "email_verified".to_owned(),
        redirect_uri: "https://desk.example.com/callback".to_owned(),
    }
}

async fn world_of(secret: Option<&str>) -> World {
    let theirs = TestProvider::start(start().timestamp(), secret).await;
    theirs.be(json!({
        "sub": "ann|1", "email": "ann@example.com", "email_verified": true, "name": "Ann Lee", "groups": ["support"],
    }));
    let clock = Arc::new(ManualClock::at(start()));
    let ours = OpenIdProvider::new(settings(&theirs.issuer, secret), clock.clone()).unwrap();
    World { theirs, ours, clock }
}

async fn world() -> World {
    world_of(Some(CLIENT_SECRET)).await
}

fn ask() -> SignOnAsk {
    let token = |text: &str| SecretToken::parse(text).unwrap();
    SignOnAsk {
        state: token("the-state"),
        nonce: token("the-nonce"),
        verifier: token("a-verifier-of-at-least-forty-three-characters-1"),
    }
}

impl World {
    async fn sign_on(&self) -> Result<Vouched, ProviderError> {
        let address = self.ours.address(&ask()).await?;
        let (code, state) = self.theirs.visit(&address);
        assert_eq!(state, "the-state");
        self.ours
            .identify(&CodeReceived { code, issuer: None }, &ask())
            .await
    }

    async fn with(&self, script: Script) -> Result<Vouched, ProviderError> {
        self.theirs.set(script);
        self.sign_on().await
    }

    async fn with_claims(&self, claims: Value) -> Result<Vouched, ProviderError> {
        self.with(Script {
            claims,
            ..Script::default()
        })
        .await
    }
}

#[track_caller]
fn assert_rejected(outcome: Result<Vouched, ProviderError>, what: &str) {
    match outcome {
        Err(ProviderError::Rejected(why)) => assert!(!why.contains("eyJ"), "{what}: {why}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn assert_unavailable(outcome: Result<Vouched, ProviderError>) {
    assert!(
        matches!(outcome, Err(ProviderError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_honest_provider_vouches_for_whom_it_signed_on() {
    let world = world().await;
    let vouched = world.sign_on().await.unwrap();
    assert_eq!(vouched.subject.as_str(), "ann|1");
    assert_eq!(vouched.email.as_deref(), Some("ann@example.com"));
    assert_eq!(vouched.name.as_deref(), Some("Ann Lee"));
    assert!(vouched.email_verified);
    assert_eq!(vouched.claims["groups"], json!(["support"]));
    let asked = world.theirs.asked();
    assert!(!asked.iter().any(|path| path.contains("userinfo")), "{asked:?}");
}

#[tokio::test]
async fn a_client_shows_its_secret_as_the_provider_wants_it_or_has_none() {
    let world = world().await;
    world
        .with(Script {
            auth: "client_secret_post",
            ..Script::default()
        })
        .await
        .unwrap();
    world_of(None).await.sign_on().await.unwrap();
}

#[tokio::test]
async fn claims_of_another_sign_on_audience_issuer_or_time_are_rejected() {
    let world = world().await;
    let now = start().timestamp();
    for (what, claims) in [
        ("another nonce", json!({"nonce": "other"})),
        ("no nonce", json!({"nonce": null})),
        ("another audience", json!({"aud": "other"})),
        (
            "more audiences and no party",
            json!({"aud": [CLIENT_ID, "other"]}),
        ),
        ("another party", json!({"azp": "other"})),
        ("another issuer", json!({"iss": "https://login.example.com"})),
        ("expired", json!({"exp": now - 61})),
        ("no end", json!({"exp": null})),
        ("from the future", json!({"iat": now + 61})),
        ("nobody", json!({"sub": null})),
        ("a subject that is no text", json!({"sub": 1})),
    ] {
        assert_rejected(world.with_claims(claims).await, what);
    }
    world.with_claims(json!({})).await.unwrap();
}

#[tokio::test]
async fn what_the_claims_of_a_token_must_be() {
    let world = world().await;
    let now = start().timestamp();
    for (what, claims) in [
        (
            "an issuer with a slash more",
            json!({"iss": format!("{}/", world.theirs.issuer)}),
        ),
        ("no issuer", json!({"iss": null})),
        ("no audience", json!({"aud": null})),
        ("an empty list of audiences", json!({"aud": []})),
        ("an audience that is an object", json!({"aud": {CLIENT_ID: true}})),
        ("a party that is no text", json!({"azp": 1})),
        (
            "more audiences and another party",
            json!({"aud": [CLIENT_ID, "other"], "azp": "other"}),
        ),
        ("expired to the second", json!({"exp": now - 60})),
        ("an end that is no number", json!({"exp": "later"})),
        ("no time", json!({"iat": null})),
        ("not good yet", json!({"nbf": now + 61})),
        ("good from a time that is no number", json!({"nbf": "now"})),
        ("a nonce that is no text", json!({"nonce": 1})),
    ] {
        assert_rejected(world.with_claims(claims).await, what);
    }
    for (what, claims) in [
        ("a list of this audience", json!({"aud": [CLIENT_ID]})),
        (
            "more audiences, made for this one",
            json!({"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}),
        ),
        (
            "a part of a second",
            json!({"exp": now as f64 + 1.5, "iat": now as f64 - 0.5}),
        ),
        ("a clock that is a little slow", json!({"exp": now - 59})),
        (
            "a clock that is a little fast",
            json!({"iat": now + 60, "nbf": now + 60}),
        ),
        (
            "a time in words",
            json!({"updated_at": "2026-01-05T09:00:00.000Z"}),
        ),
    ] {
        assert!(world.with_claims(claims).await.is_ok(), "{what}");
    }
}

#[tokio::test]
async fn every_algorithm_of_public_keys_that_is_believed_can_sign() {
    let world = world().await;
    for signing in [Signing::Honest, Signing::Rs256, Signing::Ps256, Signing::EdDsa] {
        for header in [json!({}), json!({"kid": null})] {
            let script = Script {
                signing,
                header,
                ..Script::default()
            };
            world.with(script).await.unwrap();
        }
    }
    for (signing, algorithm) in [
        (Signing::Rs256, "PS256"),
        (Signing::Ps256, "RS256"),
        (Signing::Rs256, "ES256"),
        (Signing::Honest, "EdDSA"),
        (Signing::EdDsa, "RS256"),
    ] {
        let script = Script {
            signing,
            header: json!({"alg": algorithm}),
            ..Script::default()
        };
        assert_rejected(
            world.with(script).await,
            &format!("{signing:?} called {algorithm}"),
        );
    }
}

#[tokio::test]
async fn a_header_without_a_believed_algorithm_is_refused() {
    let world = world().await;
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RS1"}),
        json!({"alg": "RS512"}),
        json!({"alg": "es256"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": 1}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"typ": "at+jwt"}),
    ] {
        let script = Script {
            header: header.clone(),
            ..Script::default()
        };
        assert_rejected(world.with(script).await, &header.to_string());
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_providers_is_rejected() {
    let world = world().await;
    for signing in [
        Signing::None,
        Signing::HmacOfSecret,
        Signing::HmacOfPublicKey,
        Signing::Tampered,
        Signing::ForeignKey,
    ] {
        let script = Script {
            signing,
            ..Script::default()
        };
        assert_rejected(world.with(script).await, &format!("{signing:?}"));
    }
    for signing in [Signing::None, Signing::HmacOfPublicKey] {
        let script = Script {
            signing,
            header: json!({"alg": "ES256"}),
            ..Script::default()
        };
        assert_rejected(world.with(script).await, &format!("{signing:?} called ES256"));
    }
}

#[tokio::test]
async fn a_signature_is_of_the_words_that_came_though_others_are_read() {
    let world = world().await;
    let with = |signing| Script {
        signing,
        claims: json!({"email_verified": 1}),
        ..Script::default()
    };
    assert!(world.with(with(Signing::Honest)).await.unwrap().email_verified);
    for signing in [
        Signing::OtherWords,
        Signing::Tampered,
        Signing::ForeignKey,
        Signing::HmacOfSecret,
        Signing::None,
    ] {
        assert_rejected(world.with(with(signing)).await, &format!("{signing:?}"));
    }
}

#[tokio::test]
async fn keys_that_are_for_something_else_or_not_understood_are_passed_over() {
    let world = world().await;
    world
        .with(Script {
            keys: vec![
                json!(1),
                json!(null),
                json!({"kid": "key-1"}),
                json!({"kty": "odd", "kid": "key-1"}),
                json!({"kty": "oct", "kid": "key-1", "k": "AAAA"}),
                json!({"kty": "EC", "crv": "P-256", "kid": "key-1", "use": "enc", "x": "AA", "y": "AA"}),
                json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": "AQAB", "e": "AQAB"}),
            ],
            ..Script::default()
        })
        .await
        .unwrap();
    let of_rsa = Script {
        signing: Signing::Rs256,
        ..Script::default()
    };
    world.with(of_rsa).await.unwrap();
}

#[tokio::test]
async fn keys_that_a_token_points_to_are_neither_fetched_nor_believed() {
    let world = world().await;
    let issuer = &world.theirs.issuer;
    let header = json!({"jku": format!("{issuer}/evil-keys"), "x5u": format!("{issuer}/evil-certificate")});
    let script = |signing| Script {
        signing,
        header: header.clone(),
        ..Script::default()
    };
    world.with(script(Signing::Honest)).await.unwrap();
    assert_rejected(world.with(script(Signing::ForeignKey)).await, "a foreign key");
    let asked = world.theirs.asked();
    assert!(!asked.iter().any(|path| path.contains("evil")), "{asked:?}");
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_one_that_is_not_published_is_rejected() {
    let world = world().await;
    let fetched = |world: &World| {
        world
            .theirs
            .asked()
            .iter()
            .filter(|path| path.ends_with("/keys"))
            .count()
    };
    world.sign_on().await.unwrap();
    world.sign_on().await.unwrap();
    assert_eq!(fetched(&world), 1);
    world.theirs.rotate("key-2");
    world.sign_on().await.unwrap();
    assert_eq!(fetched(&world), 2);
    let unknown = Script {
        header: json!({"kid": "nobody's"}),
        ..Script::default()
    };
    assert_rejected(world.with(unknown).await, "an unknown key");
    assert_eq!(fetched(&world), 3);
}

#[tokio::test]
async fn keys_that_are_not_there_are_looked_for_a_few_times_a_minute() {
    let world = world().await;
    let fetched = |world: &World| {
        let asked = world.theirs.asked();
        asked.iter().filter(|path| path.ends_with("/keys")).count()
    };
    world.theirs.set(Script {
        header: json!({"kid": "nobody's"}),
        ..Script::default()
    });
    for _ in 0..10 {
        assert_rejected(world.sign_on().await, "an unknown key");
    }
    assert_eq!(fetched(&world), 1 + 5);
    world.clock.advance(chrono::Duration::seconds(60));
    assert_rejected(world.sign_on().await, "an unknown key");
    assert_eq!(fetched(&world), 1 + 5 + 1);
}

#[tokio::test]
async fn a_description_that_is_another_providers_or_unsafe_is_refused() {
    let world = world().await;
    let issuer = &world.theirs.issuer;
    let mut bad = vec![
        json!({"issuer": format!("{issuer}/")}),
        json!({"issuer": "https://login.example.com"}),
        json!({"issuer": null}),
        json!({"authorization_endpoint": null}),
        json!({"token_endpoint": null}),
        json!({"jwks_uri": null}),
    ];
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
    ] {
        for address in [
            "http://login.example.com/x",
            "https://user@login.example.com/x",
            "https://login.example.com/x#y",
            "/relative",
            "javascript:alert(1)",
            "",
        ] {
            bad.push(json!({name: address}));
        }
    }
    for description in bad {
        world.theirs.set(Script {
            description: description.clone(),
            ..Script::default()
        });
        let outcome = world.ours.warm_up().await;
        assert!(
            matches!(outcome, Err(ProviderError::Unavailable(_))),
            "{description}"
        );
    }
    world.with(Script::default()).await.unwrap();
}

#[tokio::test]
async fn a_client_shows_its_secret_in_the_header_where_nothing_else_is_asked() {
    for methods in [
        json!(null),
        json!(["private_key_jwt"]),
        json!(["client_secret_post", "client_secret_basic"]),
    ] {
        let world = world().await;
        let description = json!({"token_endpoint_auth_methods_supported": methods});
        let script = Script {
            description,
            ..Script::default()
        };
        world.with(script).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_sign_on_asks_for_is_in_its_address() {
    let world = world().await;
    let endpoint = format!("{}/authorize?tenant=1", world.theirs.issuer);
    world.theirs.set(Script {
        description: json!({"authorization_endpoint": endpoint}),
        ..Script::default()
    });
    let address = url::Url::parse(&world.ours.address(&ask()).await.unwrap()).unwrap();
    let mut pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    pairs.sort();
    // The challenge is the verifier's SHA-256.
    let challenge = "MAkp9xe7yEDxOM61OhqSTgRlS2ApUTI3IUoNjXvWNgg";
    let expected = [
        ("client_id", CLIENT_ID),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("nonce", "the-nonce"),
        ("redirect_uri", "https://desk.example.com/callback"),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "the-state"),
        ("tenant", "1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
    let short = SignOnAsk {
        verifier: SecretToken::parse("short").unwrap(),
        ..ask()
    };
    assert!(world.ours.address(&short).await.is_err());
}

#[tokio::test]
async fn what_is_known_of_a_provider_is_fetched_anew_after_an_hour() {
    let world = world().await;
    let asked = |world: &World| {
        let asked = world.theirs.asked();
        asked
            .iter()
            .filter(|path| path.ends_with("configuration"))
            .count()
    };
    world.ours.warm_up().await.unwrap();
    world.clock.advance(chrono::Duration::minutes(59));
    world.ours.warm_up().await.unwrap();
    assert_eq!(asked(&world), 1);
    world.clock.advance(chrono::Duration::minutes(1));
    world.ours.warm_up().await.unwrap();
    assert_eq!(asked(&world), 2);
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_verifier() {
    let world = world().await;
    let address = world.ours.address(&ask()).await.unwrap();
    let (code, _) = world.theirs.visit(&address);
    let received = CodeReceived { code, issuer: None };
    let other = SignOnAsk {
        verifier: SecretToken::parse("another-verifier").unwrap(),
        ..ask()
    };
    assert_rejected(world.ours.identify(&received, &other).await, "another's verifier");
    assert_rejected(world.ours.identify(&received, &ask()).await, "a used code");
}

#[tokio::test]
async fn an_answer_that_says_it_is_another_issuers_is_rejected() {
    let world = world().await;
    let address = world.ours.address(&ask()).await.unwrap();
    let (code, _) = world.theirs.visit(&address);
    let received = |issuer: &str| CodeReceived {
        code: code.clone(),
        issuer: Some(issuer.to_owned()),
    };
    let mixed_up = world
        .ours
        .identify(&received("https://evil.example"), &ask())
        .await;
    assert_rejected(mixed_up, "another issuer");
    let own = received(&world.theirs.issuer);
    world.ours.identify(&own, &ask()).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_fails_is_unavailable_and_is_asked_again_later() {
    let world = world().await;
    for fault in [
        Fault::TokenError("invalid_client"),
        Fault::Flood,
        Fault::Redirect,
        Fault::Silence,
    ] {
        let script = Script {
            fault,
            ..Script::default()
        };
        assert_unavailable(world.with(script).await);
    }
    let asked = world.theirs.asked();
    assert!(!asked.iter().any(|path| path.contains("elsewhere")), "{asked:?}");
    let unknown = Script {
        fault: Fault::TokenError("invalid_grant"),
        ..Script::default()
    };
    assert_rejected(
        world.with(unknown).await,
        "a code that the provider does not know",
    );
    world.with(Script::default()).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_down_at_first_is_found_later() {
    let world = world().await;
    world.theirs.set(Script {
        fault: Fault::Down,
        ..Script::default()
    });
    assert!(world.ours.warm_up().await.is_err());
    world.theirs.set(Script::default());
    world.sign_on().await.unwrap();
}

#[tokio::test]
async fn an_address_that_the_token_lacks_comes_from_the_provider_with_its_own_word_on_it() {
    let world = world().await;
    let with = async |claims: Value, userinfo: Value| {
        world.theirs.be(json!({"sub": "ann|1"}));
        world
            .with(Script {
                claims,
                userinfo,
                ..Script::default()
            })
            .await
    };
    let ann = json!({"sub": "ann|1", "email": "ann@example.com", "email_verified": true, "name": "Ann"});
    let vouched = with(json!({}), ann).await.unwrap();
    assert_eq!(
        (vouched.email.as_deref(), vouched.email_verified),
        (Some("ann@example.com"), true)
    );
    let unproved = json!({"sub": "ann|1", "email": "ann@example.com"});
    let vouched = with(json!({"email_verified": true}), unproved).await.unwrap();
    assert!(!vouched.email_verified, "the word was on no address");
    let another = json!({"sub": "bob|2", "email": "bob@example.com", "email_verified": true});
    assert_rejected(with(json!({}), another).await, "another person");
}

#[tokio::test]
async fn the_userinfo_endpoint_may_use_words_of_its_own_but_no_token_that_breaks_a_header() {
    let world = world().await;
    world.theirs.be(json!({"sub": "ann|1"}));
    for (word, means_yes) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(1), true),
        (json!("yes"), false),
        (json!(null), false),
    ] {
        let userinfo = json!({"sub": "ann|1", "email": "ann@example.com", "email_verified": word});
        let script = Script {
            userinfo,
            ..Script::default()
        };
        assert_eq!(
            world.with(script).await.unwrap().email_verified,
            means_yes,
            "{word}"
        );
    }
    let broken = Script {
        access_token: "a\r\nb: c",
        ..Script::default()
    };
    assert_rejected(world.with(broken).await, "a token of two lines");
}

#[tokio::test]
async fn the_word_on_an_address_may_be_a_claim_of_the_providers_own() {
    let theirs = TestProvider::start(start().timestamp(), None).await;
    let settings = OpenIdSettings {
        verified_claim: "xms_edov".to_owned(),
        ..settings(&theirs.issuer, None)
    };
    let ours = OpenIdProvider::new(settings, Arc::new(ManualClock::at(start()))).unwrap();
    for (word, means_yes) in [
        (json!(true), true),
        (json!("1"), true),
        (json!(1), true),
        (json!("0"), false),
        (json!(null), false),
    ] {
        theirs
            .be(json!({"sub": "ann", "email": "ann@example.com", "email_verified": true, "xms_edov": word}));
        let (code, _) = theirs.visit(&ours.address(&ask()).await.unwrap());
        let received = CodeReceived { code, issuer: None };
        let vouched = ours.identify(&received, &ask()).await.unwrap();
        assert_eq!(vouched.email_verified, means_yes, "{word}");
    }
}

#[tokio::test]
async fn claims_come_as_they_are() {
    let world = world().await;
    let own = json!({
        "realm_access": {"roles": ["desk-admin", "other"], "level": 3, "share": 0.5, "more": null},
        "groups": [],
        "is_staff": true,
    });
    let vouched = world.with_claims(own.clone()).await.unwrap();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(vouched.claims.get(name), Some(value), "{name}");
    }
    let named = json!({"name": null, "given_name": "Ann", "family_name": "Lee", "email_verified": "true"});
    let vouched = world.with_claims(named).await.unwrap();
    assert_eq!(
        (vouched.name.as_deref(), vouched.email_verified),
        (Some("Ann Lee"), true)
    );
}

#[tokio::test]
async fn only_a_word_that_means_yes_verifies_an_address() {
    let world = world().await;
    for (word, means_yes) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(1), true),
        (json!(false), false),
        (json!("false"), false),
        (json!("yes"), false),
        (json!([true]), false),
        (json!(null), false),
    ] {
        let vouched = world.with_claims(json!({"email_verified": word})).await.unwrap();
        assert_eq!(vouched.email_verified, means_yes, "{word}");
    }
}

#[tokio::test]
async fn an_issuer_must_be_spoken_to_in_secret() {
    for bad in [
        "http://login.example.com",
        "login.example.com",
        "https://login.example.com?x=1",
        "",
    ] {
        let clock = Arc::new(ManualClock::at(start()));
        assert!(OpenIdProvider::new(settings(bad, None), clock).is_err(), "{bad}");
    }
}
