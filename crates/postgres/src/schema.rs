//! The tables as diesel knows them. Made from the catalogue of a migrated database by `cargo xtask schema`;
//! a test keeps the two equal.

/// Types of the database that diesel has no name for.
#[expect(unreachable_pub, reason = "the tables, which are public to diesel, name them")]
pub mod sql_types {
    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "ArticleStatus"))]
    pub struct ArticleStatus;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "TeamRole"))]
    pub struct TeamRole;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "TicketChannel"))]
    pub struct TicketChannel;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "TicketPriority"))]
    pub struct TicketPriority;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "TicketStatus"))]
    pub struct TicketStatus;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "UserRole"))]
    pub struct UserRole;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "UserStatus"))]
    pub struct UserStatus;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "tsvector"))]
    pub struct Tsvector;

    #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "xid8"))]
    pub struct Xid8;
}

diesel::table! {
    use diesel::sql_types::*;

    agent_performance (id) {
        id -> Uuid,
        date -> Date,
        agent_id -> Uuid,
        tickets_handled -> Int4,
        tickets_resolved -> Int4,
        avg_response_time_min -> Nullable<Float8>,
        avg_resolution_time_min -> Nullable<Float8>,
        customer_satisfaction -> Nullable<Float8>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        #[max_length = 20]
        prefix -> Varchar,
        #[max_length = 64]
        key_sha256 -> Varchar,
        scopes -> Array<Nullable<Text>>,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        last_used_ip -> Nullable<Inet>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    attachments (id) {
        id -> Uuid,
        uploader_id -> Uuid,
        message_id -> Nullable<Uuid>,
        #[max_length = 255]
        file_name -> Varchar,
        #[max_length = 255]
        content_type -> Varchar,
        size_bytes -> Int8,
        sha256 -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    audit_log (number) {
        number -> Int8,
        event_id -> Uuid,
        occurred_at -> Timestamptz,
        #[max_length = 50]
        action -> Varchar,
        actor_id -> Nullable<Uuid>,
        #[max_length = 50]
        actor_system -> Nullable<Varchar>,
        #[max_length = 30]
        target_kind -> Varchar,
        target_id -> Nullable<Uuid>,
        ip_address -> Nullable<Inet>,
        #[max_length = 500]
        user_agent -> Nullable<Varchar>,
        #[max_length = 200]
        request_id -> Nullable<Varchar>,
        credential_id -> Nullable<Uuid>,
        detail -> Jsonb,
        previous_sha256 -> Bytea,
        sha256 -> Bytea,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    automation_revision (id) {
        id -> Bool,
        revision -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    automation_rules (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        description -> Nullable<Text>,
        #[max_length = 50]
        trigger -> Varchar,
        conditions -> Jsonb,
        actions -> Jsonb,
        priority -> Int4,
        enabled -> Bool,
        last_triggered_at -> Nullable<Timestamptz>,
        trigger_count -> Int4,
        created_by -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        schedule -> Nullable<Jsonb>,
        stop_after_match -> Bool,
        rate_limit -> Nullable<Jsonb>,
        #[max_length = 20]
        disabled -> Nullable<Varchar>,
        version -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    automation_runs (rule_id, event_id) {
        rule_id -> Uuid,
        event_id -> Uuid,
        log_id -> Uuid,
        rule_version -> Int4,
        #[max_length = 100]
        name -> Varchar,
        ticket_id -> Nullable<Uuid>,
        happened_at -> Timestamptz,
        place -> Int4,
        explanation -> Jsonb,
        plan_version -> Int2,
        steps -> Jsonb,
        chain -> Jsonb,
        settled_at -> Nullable<Timestamptz>,
        results -> Nullable<Jsonb>,
        is_counted -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    automation_schedules (rule_id) {
        rule_id -> Uuid,
        done_at -> Nullable<Timestamptz>,
        leased_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    automation_trips (rule_id, event_id) {
        rule_id -> Uuid,
        event_id -> Uuid,
        tripped_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    daily_ticket_metrics (id) {
        id -> Uuid,
        date -> Date,
        team_id -> Nullable<Uuid>,
        tickets_created -> Int4,
        tickets_resolved -> Int4,
        tickets_closed -> Int4,
        avg_first_response_min -> Nullable<Float8>,
        avg_resolution_min -> Nullable<Float8>,
        sla_breaches -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    desk_facts (name) {
        #[max_length = 50]
        name -> Varchar,
        value -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    desk_settings (name) {
        #[max_length = 50]
        name -> Varchar,
        value -> Jsonb,
        version -> Int4,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    event_receipts (event_id, subscriber, step) {
        #[max_length = 50]
        subscriber -> Varchar,
        event_id -> Uuid,
        #[max_length = 50]
        step -> Varchar,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    external_identities (provider, subject) {
        #[max_length = 50]
        provider -> Varchar,
        #[max_length = 255]
        subject -> Varchar,
        user_id -> Uuid,
        #[max_length = 255]
        email -> Nullable<Varchar>,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    idempotency_keys (principal, key) {
        principal -> Uuid,
        #[max_length = 255]
        key -> Varchar,
        #[max_length = 200]
        route -> Varchar,
        request_sha256 -> Bytea,
        status -> Int2,
        #[max_length = 100]
        etag -> Nullable<Varchar>,
        #[max_length = 500]
        location -> Nullable<Varchar>,
        body -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    job_items (job_id, item) {
        job_id -> Uuid,
        item -> Int4,
        ticket_id -> Uuid,
        undo -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    job_results (job_id, item) {
        job_id -> Uuid,
        item -> Int4,
        #[max_length = 20]
        outcome -> Varchar,
        #[max_length = 100]
        code -> Nullable<Varchar>,
        detail -> Nullable<Text>,
        undo -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    jobs (id) {
        id -> Uuid,
        owner_id -> Uuid,
        change -> Nullable<Jsonb>,
        undo_of -> Nullable<Uuid>,
        #[max_length = 20]
        state -> Varchar,
        total -> Int4,
        changed -> Int4,
        unchanged -> Int4,
        refused -> Int4,
        next_item -> Int4,
        lease_until -> Nullable<Timestamptz>,
        worked_at -> Timestamptz,
        version -> Int4,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_article_versions (article_id, number) {
        article_id -> Uuid,
        number -> Int4,
        #[max_length = 200]
        title -> Varchar,
        content -> Text,
        #[max_length = 500]
        excerpt -> Nullable<Varchar>,
        excerpt_is_made -> Bool,
        editor_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_article_votes (article_id, voter_id) {
        article_id -> Uuid,
        voter_id -> Uuid,
        is_helpful -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ArticleStatus;
    use super::sql_types::Tsvector;

    kb_articles (id) {
        id -> Uuid,
        #[max_length = 200]
        title -> Varchar,
        #[max_length = 200]
        slug -> Varchar,
        content -> Text,
        content_html -> Nullable<Text>,
        #[max_length = 500]
        excerpt -> Nullable<Varchar>,
        category_id -> Uuid,
        author_id -> Uuid,
        status -> ArticleStatus,
        published_at -> Nullable<Timestamptz>,
        views -> Int4,
        helpful_count -> Int4,
        not_helpful_count -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
        text_number -> Int4,
        editor_id -> Nullable<Uuid>,
        excerpt_is_made -> Bool,
        #[max_length = 10]
        language -> Varchar,
        words -> Nullable<Tsvector>,
        publish_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_categories (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        #[max_length = 100]
        slug -> Varchar,
        description -> Nullable<Text>,
        parent_id -> Nullable<Uuid>,
        #[max_length = 50]
        icon -> Nullable<Varchar>,
        order -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_old_slugs (slug) {
        #[max_length = 200]
        slug -> Varchar,
        article_id -> Uuid,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_searches (day, language, query) {
        day -> Date,
        #[max_length = 10]
        language -> Varchar,
        #[max_length = 200]
        query -> Varchar,
        searches -> Int8,
        found_nothing -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_terms (language, term) {
        #[max_length = 10]
        language -> Varchar,
        term -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    kb_tree (id) {
        id -> Bool,
        revision -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    macros (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        description -> Nullable<Text>,
        actions -> Jsonb,
        user_id -> Nullable<Uuid>,
        team_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    notifications (id) {
        id -> Uuid,
        user_id -> Uuid,
        #[max_length = 50]
        #[sql_name = "type"]
        type_ -> Varchar,
        #[max_length = 200]
        title -> Varchar,
        message -> Text,
        data -> Jsonb,
        read -> Bool,
        read_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        #[max_length = 200]
        dedupe_key -> Nullable<Varchar>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    one_time_tokens (token_sha256) {
        #[max_length = 64]
        token_sha256 -> Varchar,
        #[max_length = 30]
        kind -> Varchar,
        user_id -> Nullable<Uuid>,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        id -> Uuid,
        #[max_length = 255]
        email -> Nullable<Varchar>,
        attempts -> Int2,
        sealed -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Xid8;

    outbox (id) {
        id -> Uuid,
        position -> Int8,
        transaction_id -> Xid8,
        aggregate_id -> Uuid,
        #[max_length = 50]
        kind -> Varchar,
        payload_version -> Int2,
        payload -> Jsonb,
        occurred_at -> Timestamptz,
        available_at -> Timestamptz,
        attempts -> Int4,
        leased_until -> Nullable<Timestamptz>,
        done_at -> Nullable<Timestamptz>,
        buried_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    rate_buckets (name, key) {
        #[max_length = 40]
        name -> Varchar,
        key -> Bytea,
        full_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    recovery_codes (user_id, code_sha256) {
        user_id -> Uuid,
        #[max_length = 64]
        code_sha256 -> Varchar,
        used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    session_rotated_tokens (token_sha256) {
        #[max_length = 64]
        token_sha256 -> Varchar,
        session_id -> Uuid,
        successor_salt -> Bytea,
        rotated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        #[max_length = 500]
        refresh_token -> Varchar,
        #[max_length = 500]
        user_agent -> Nullable<Varchar>,
        ip_address -> Nullable<Inet>,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        #[max_length = 30]
        method -> Varchar,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    sla_ledger (ticket_id, metric, run, from_at) {
        ticket_id -> Uuid,
        metric -> Text,
        run -> Int4,
        from_at -> Timestamptz,
        to_at -> Timestamptz,
        counted_us -> Nullable<Int8>,
        standstill -> Nullable<Text>,
        policy_id -> Nullable<Uuid>,
        policy_version -> Nullable<Int4>,
        calendar_version -> Nullable<Int4>,
        priority -> Text,
        target_us -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    sla_policies (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        description -> Nullable<Text>,
        first_response_time -> Int4,
        resolution_time -> Int4,
        business_hours_only -> Bool,
        business_hours -> Nullable<Jsonb>,
        escalation_rules -> Jsonb,
        priority_multipliers -> Jsonb,
        is_default -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        next_response_time -> Nullable<Int4>,
        paused_while_pending -> Nullable<Jsonb>,
        filter -> Nullable<Jsonb>,
        place -> Int4,
        version -> Int4,
        terms_version -> Int4,
        calendar_version -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    sla_policy_terms (policy_id, version) {
        policy_id -> Uuid,
        version -> Int4,
        calendar_version -> Int4,
        first_response_time -> Int4,
        next_response_time -> Nullable<Int4>,
        resolution_time -> Int4,
        business_hours_only -> Bool,
        business_hours -> Nullable<Jsonb>,
        escalation_rules -> Jsonb,
        priority_multipliers -> Jsonb,
        paused_while_pending -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    staff_availability (user_id) {
        user_id -> Uuid,
        available -> Bool,
        capacity -> Nullable<Int4>,
        version -> Int4,
        routed -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::TeamRole;

    team_members (id) {
        id -> Uuid,
        team_id -> Uuid,
        user_id -> Uuid,
        role_in_team -> TeamRole,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    team_routing (team_id) {
        team_id -> Uuid,
        #[max_length = 20]
        mode -> Varchar,
        capacity -> Nullable<Int4>,
        version -> Int4,
        turn -> Int8,
        last_assignee -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    teams (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        description -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_activities (id) {
        id -> Uuid,
        ticket_id -> Uuid,
        actor_id -> Nullable<Uuid>,
        #[max_length = 50]
        action_type -> Varchar,
        old_value -> Nullable<Jsonb>,
        new_value -> Nullable<Jsonb>,
        metadata -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_clocks (ticket_id) {
        ticket_id -> Uuid,
        policy_id -> Nullable<Uuid>,
        policy_version -> Nullable<Int4>,
        is_explicit -> Bool,
        is_live -> Bool,
        wake_at -> Nullable<Timestamptz>,
        state -> Jsonb,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_drafts (ticket_id, user_id) {
        ticket_id -> Uuid,
        user_id -> Uuid,
        message -> Text,
        is_internal -> Bool,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_fields (id) {
        id -> Uuid,
        #[max_length = 50]
        name -> Varchar,
        #[max_length = 100]
        label -> Varchar,
        #[max_length = 500]
        description -> Nullable<Varchar>,
        #[max_length = 20]
        #[sql_name = "type"]
        type_ -> Varchar,
        options -> Jsonb,
        #[max_length = 200]
        pattern -> Nullable<Varchar>,
        required -> Bool,
        user_editable -> Bool,
        position -> Int2,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_imports (source, external_id) {
        #[max_length = 100]
        source -> Varchar,
        #[max_length = 200]
        external_id -> Varchar,
        ticket_id -> Uuid,
        imported_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_links (from_id, to_id, kind) {
        from_id -> Uuid,
        to_id -> Uuid,
        #[max_length = 20]
        kind -> Varchar,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_merge_items (merge_id, item_id) {
        merge_id -> Uuid,
        item_id -> Uuid,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_merges (id) {
        id -> Uuid,
        target_id -> Uuid,
        source_id -> Uuid,
        description_message_id -> Uuid,
        source_standing -> Jsonb,
        tags_added -> Jsonb,
        gave_first_response -> Bool,
        merged_by -> Nullable<Uuid>,
        merged_at -> Timestamptz,
        undone_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_messages (id) {
        id -> Uuid,
        ticket_id -> Uuid,
        sender_id -> Uuid,
        message -> Text,
        message_html -> Nullable<Text>,
        attachment_urls -> Jsonb,
        is_internal -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_notes (id) {
        id -> Uuid,
        ticket_id -> Uuid,
        agent_id -> Uuid,
        message -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Tsvector;

    ticket_search (ticket_id) {
        ticket_id -> Uuid,
        public_words -> Tsvector,
        staff_words -> Nullable<Tsvector>,
        languages -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_search_queue (number) {
        number -> Int8,
        ticket_id -> Uuid,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    ticket_views (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        filter -> Nullable<Jsonb>,
        #[max_length = 20]
        sort -> Varchar,
        position -> Int2,
        owner_id -> Nullable<Uuid>,
        team_id -> Nullable<Uuid>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::TicketChannel;
    use super::sql_types::TicketPriority;
    use super::sql_types::TicketStatus;

    tickets (id) {
        id -> Uuid,
        #[max_length = 20]
        ticket_number -> Varchar,
        #[max_length = 200]
        subject -> Varchar,
        description -> Text,
        created_by -> Uuid,
        assigned_to -> Nullable<Uuid>,
        team_id -> Nullable<Uuid>,
        priority -> TicketPriority,
        status -> TicketStatus,
        channel -> TicketChannel,
        sla_policy_id -> Nullable<Uuid>,
        first_response_at -> Nullable<Timestamptz>,
        sla_due_at -> Nullable<Timestamptz>,
        sla_breached -> Bool,
        resolved_at -> Nullable<Timestamptz>,
        closed_at -> Nullable<Timestamptz>,
        auto_closed_at -> Nullable<Timestamptz>,
        tags -> Jsonb,
        custom_fields -> Jsonb,
        metadata -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        version -> Int4,
        public_version -> Int4,
        public_updated_at -> Timestamptz,
        message_count -> Int4,
        public_message_count -> Int4,
        last_message_at -> Nullable<Timestamptz>,
        public_last_message_at -> Nullable<Timestamptz>,
        merged_into_id -> Nullable<Uuid>,
        satisfaction_score -> Nullable<Int2>,
        satisfaction_comment -> Nullable<Text>,
        rated_at -> Nullable<Timestamptz>,
        follower_ids -> Array<Nullable<Uuid>>,
        cc_ids -> Array<Nullable<Uuid>>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::UserRole;
    use super::sql_types::UserStatus;

    users (id) {
        id -> Uuid,
        #[max_length = 255]
        email -> Varchar,
        #[max_length = 100]
        name -> Varchar,
        #[max_length = 255]
        password_hash -> Varchar,
        role -> UserRole,
        status -> UserStatus,
        #[max_length = 500]
        avatar_url -> Nullable<Varchar>,
        email_verified_at -> Nullable<Timestamptz>,
        last_login_at -> Nullable<Timestamptz>,
        two_factor_enabled -> Bool,
        #[max_length = 255]
        two_factor_secret -> Nullable<Varchar>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        version -> Int4,
        totp_last_step -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    webhook_calls (endpoint_id, id) {
        endpoint_id -> Uuid,
        id -> Uuid,
        sequence -> Int8,
        #[max_length = 50]
        event -> Varchar,
        ticket_id -> Nullable<Uuid>,
        body -> Text,
        created_at -> Timestamptz,
        #[max_length = 10]
        state -> Varchar,
        tries -> Int4,
        began_at -> Timestamptz,
        next_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        #[max_length = 20]
        dead_because -> Nullable<Varchar>,
        leased_until -> Nullable<Timestamptz>,
        log -> Jsonb,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    webhook_endpoints (id) {
        id -> Uuid,
        #[max_length = 100]
        name -> Varchar,
        url -> Text,
        events -> Array<Nullable<Text>>,
        filter -> Jsonb,
        #[max_length = 10]
        audience -> Varchar,
        enabled -> Bool,
        secret -> Text,
        older_secret -> Nullable<Text>,
        failures -> Int4,
        failing_since -> Nullable<Timestamptz>,
        #[max_length = 20]
        disabled -> Nullable<Varchar>,
        owner -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version -> Int4,
    }
}

diesel::joinable!(api_keys -> users (user_id));
diesel::joinable!(attachments -> ticket_messages (message_id));
diesel::joinable!(attachments -> users (uploader_id));
diesel::joinable!(automation_rules -> users (created_by));
diesel::joinable!(automation_runs -> automation_rules (rule_id));
diesel::joinable!(automation_runs -> tickets (ticket_id));
diesel::joinable!(automation_schedules -> automation_rules (rule_id));
diesel::joinable!(automation_trips -> automation_rules (rule_id));
diesel::joinable!(external_identities -> users (user_id));
diesel::joinable!(job_items -> jobs (job_id));
diesel::joinable!(job_results -> jobs (job_id));
diesel::joinable!(jobs -> users (owner_id));
diesel::joinable!(kb_article_versions -> kb_articles (article_id));
diesel::joinable!(kb_article_versions -> users (editor_id));
diesel::joinable!(kb_article_votes -> kb_articles (article_id));
diesel::joinable!(kb_article_votes -> users (voter_id));
diesel::joinable!(kb_articles -> kb_categories (category_id));
diesel::joinable!(kb_old_slugs -> kb_articles (article_id));
diesel::joinable!(macros -> teams (team_id));
diesel::joinable!(macros -> users (user_id));
diesel::joinable!(notifications -> users (user_id));
diesel::joinable!(one_time_tokens -> users (user_id));
diesel::joinable!(recovery_codes -> users (user_id));
diesel::joinable!(session_rotated_tokens -> sessions (session_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(sla_ledger -> tickets (ticket_id));
diesel::joinable!(staff_availability -> users (user_id));
diesel::joinable!(team_members -> teams (team_id));
diesel::joinable!(team_members -> users (user_id));
diesel::joinable!(team_routing -> teams (team_id));
diesel::joinable!(team_routing -> users (last_assignee));
diesel::joinable!(ticket_activities -> tickets (ticket_id));
diesel::joinable!(ticket_activities -> users (actor_id));
diesel::joinable!(ticket_clocks -> tickets (ticket_id));
diesel::joinable!(ticket_drafts -> tickets (ticket_id));
diesel::joinable!(ticket_drafts -> users (user_id));
diesel::joinable!(ticket_imports -> tickets (ticket_id));
diesel::joinable!(ticket_links -> users (created_by));
diesel::joinable!(ticket_merge_items -> ticket_merges (merge_id));
diesel::joinable!(ticket_merges -> users (merged_by));
diesel::joinable!(ticket_messages -> tickets (ticket_id));
diesel::joinable!(ticket_messages -> users (sender_id));
diesel::joinable!(ticket_notes -> tickets (ticket_id));
diesel::joinable!(ticket_notes -> users (agent_id));
diesel::joinable!(ticket_search -> tickets (ticket_id));
diesel::joinable!(ticket_views -> teams (team_id));
diesel::joinable!(ticket_views -> users (owner_id));
diesel::joinable!(tickets -> sla_policies (sla_policy_id));
diesel::joinable!(tickets -> teams (team_id));
diesel::joinable!(webhook_calls -> tickets (ticket_id));
diesel::joinable!(webhook_calls -> webhook_endpoints (endpoint_id));
diesel::joinable!(webhook_endpoints -> users (owner));

diesel::allow_tables_to_appear_in_same_query!(
    agent_performance,
    api_keys,
    attachments,
    audit_log,
    automation_revision,
    automation_rules,
    automation_runs,
    automation_schedules,
    automation_trips,
    daily_ticket_metrics,
    desk_facts,
    desk_settings,
    event_receipts,
    external_identities,
    idempotency_keys,
    job_items,
    job_results,
    jobs,
    kb_article_versions,
    kb_article_votes,
    kb_articles,
    kb_categories,
    kb_old_slugs,
    kb_searches,
    kb_terms,
    kb_tree,
    macros,
    notifications,
    one_time_tokens,
    outbox,
    rate_buckets,
    recovery_codes,
    session_rotated_tokens,
    sessions,
    sla_ledger,
    sla_policies,
    sla_policy_terms,
    staff_availability,
    team_members,
    team_routing,
    teams,
    ticket_activities,
    ticket_clocks,
    ticket_drafts,
    ticket_fields,
    ticket_imports,
    ticket_links,
    ticket_merge_items,
    ticket_merges,
    ticket_messages,
    ticket_notes,
    ticket_search,
    ticket_search_queue,
    ticket_views,
    tickets,
    users,
    webhook_calls,
    webhook_endpoints,
);
