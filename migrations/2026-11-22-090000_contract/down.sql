-- Takes the whole contract away again, children before parents.
-- tickets refer to sla_policies, which come later in the contract.
ALTER TABLE "tickets" DROP CONSTRAINT "tickets_sla_policy_id_fkey";
DROP TABLE "agent_performance";
DROP TABLE "daily_ticket_metrics";
DROP TABLE "notifications";
DROP TABLE "automation_rules";
DROP TABLE "sla_policies";
DROP TABLE "kb_articles";
DROP TABLE "kb_categories";
DROP TABLE "ticket_activities";
DROP TABLE "ticket_notes";
DROP TABLE "ticket_messages";
DROP TABLE "tickets";
DROP TABLE "team_members";
DROP TABLE "teams";
DROP TABLE "sessions";
DROP TABLE "users";
DROP TYPE "ArticleStatus";
DROP TYPE "TicketChannel";
DROP TYPE "TicketStatus";
DROP TYPE "TicketPriority";
DROP TYPE "TeamRole";
DROP TYPE "UserStatus";
DROP TYPE "UserRole";
