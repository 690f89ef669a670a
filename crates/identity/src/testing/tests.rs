//! The world in memory keeps what it promises.

use super::{MemoryIdentity, contract, contract_sign_on};

#[tokio::test]
async fn the_store_of_accounts_in_memory_keeps_its_contract() {
    contract::user_store(&MemoryIdentity::new()).await;
}

#[tokio::test]
async fn the_store_of_sessions_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::session_store(&world, &world).await;
}

#[tokio::test]
async fn the_store_of_teams_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::team_store(&world, &world, &world).await;
}

#[tokio::test]
async fn an_empty_desk_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::empty_desk(&world, &world).await;
}

#[tokio::test]
async fn the_store_of_sign_ons_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract_sign_on::sign_on_store(&world, &world, &world).await;
}
