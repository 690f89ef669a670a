DROP TABLE job_results;
DROP TABLE job_items;
DROP TABLE jobs;
