//! Markdown to sanitised HTML, as InsightDesk shows it.
