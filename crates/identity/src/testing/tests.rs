//! The world in memory keeps what it promises.

use super::{MemoryAudit, MemoryIdentity, contract, contract_keys, contract_sign_on};

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
async fn the_store_of_second_factors_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::two_factor_store(&world, &world, &world).await;
}

#[tokio::test]
async fn the_security_settings_in_memory_keep_their_contract() {
    let world = MemoryIdentity::new();
    contract::security_store(&world, &world, &world).await;
}

#[tokio::test]
async fn the_store_of_teams_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::team_store(&world, &world, &world).await;
}

#[tokio::test]
async fn the_store_of_one_time_tokens_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::one_time_tokens(&world, &world).await;
}

#[tokio::test]
async fn an_empty_desk_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract::empty_desk(&world, &world).await;
}

#[tokio::test]
async fn the_record_of_acts_in_memory_keeps_its_contract() {
    super::audit_store(&MemoryAudit::new()).await;
}

#[tokio::test]
async fn the_store_of_keys_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract_keys::api_key_store(&world, &world, &world).await;
    contract_keys::people(&world, &world, &world).await;
}

#[tokio::test]
async fn the_store_of_sign_ons_in_memory_keeps_its_contract() {
    let world = MemoryIdentity::new();
    contract_sign_on::sign_on_store(&world, &world, &world).await;
}
