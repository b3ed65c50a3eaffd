# What is made when nothing but the project is said. Google is mocked: nothing is asked of it, and no account is needed.
mock_provider "google" {}

variables {
  project           = "example-project"
  database_password = "sixteen-letters-and-more"
}

run "no_machine_has_a_public_address" {
  command = plan

  assert {
    condition     = toset([for host in google_compute_instance.host : host.name]) == toset(["airflow-1", "airflow-2"])
    error_message = "The default fleet is a machine for all but the tasks, and a worker."
  }
  assert {
    condition     = alltrue([for host in google_compute_instance.host : alltrue([for card in host.network_interface : length(card.access_config) == 0 && length(card.ipv6_access_config) == 0])])
    error_message = "A machine has a public address."
  }
}

run "logins_are_os_logins" {
  command = plan

  assert {
    condition = alltrue([for host in google_compute_instance.host :
      host.metadata["enable-oslogin"] == "TRUE" && host.metadata["block-project-ssh-keys"] == "TRUE" && host.metadata["serial-port-enable"] == "FALSE"
    ])
    error_message = "A machine takes keys from its metadata, or has a serial console."
  }
  assert {
    condition     = alltrue([for host in google_compute_instance.host : host.shielded_instance_config[0].enable_secure_boot])
    error_message = "A machine starts what is not signed."
  }
}

run "ssh_is_let_in_from_iap_alone" {
  command = plan

  assert {
    condition     = google_compute_firewall.iap.source_ranges == toset(["35.235.240.0/20"])
    error_message = "The range of Google's Identity-Aware Proxy is 35.235.240.0/20."
  }
  assert {
    condition = alltrue([for rule in [google_compute_firewall.health_checks, google_compute_firewall.fleet] :
      alltrue([for allow in rule.allow : !contains(allow.ports, "22")])
    ])
    error_message = "Another rule lets SSH in."
  }
}

run "health_checks_reach_the_web_pages_alone" {
  command = plan

  assert {
    condition     = google_compute_firewall.health_checks.source_ranges == toset(["130.211.0.0/22", "35.191.0.0/16"])
    error_message = "Google's health checks come from two ranges."
  }
  assert {
    condition     = one(google_compute_firewall.health_checks.allow).ports == tolist(["80"])
    error_message = "They ask the web pages' port."
  }
  assert {
    condition     = contains(google_compute_instance.host["airflow-1"].tags, "airflow-web") && !contains(google_compute_instance.host["airflow-2"].tags, "airflow-web")
    error_message = "The rule is for the machines with the role webserver."
  }
}

run "hosts_reach_each_other_where_airflow_needs_it" {
  command = plan

  assert {
    condition     = toset(one(google_compute_firewall.fleet.allow).ports) == toset(["6379", "8793", "8794", "80"])
    error_message = "Redis, logs of tasks and of triggers, the API server."
  }
  assert {
    condition     = google_compute_firewall.fleet.source_tags == toset(["airflow"]) && google_compute_firewall.fleet.source_ranges == null
    error_message = "From the fleet itself, from nobody else."
  }
}

run "no_rule_lets_the_internet_in" {
  command = plan

  assert {
    condition = alltrue([for rule in [google_compute_firewall.iap, google_compute_firewall.health_checks] :
      alltrue([for range in rule.source_ranges : !endswith(range, "/0")])
    ])
    error_message = "0.0.0.0/0 is the internet."
  }
  assert {
    condition     = length(google_compute_firewall.web) == 0 && length(google_compute_firewall.pool) == 0
    error_message = "Further rules are there when they are asked for."
  }
}

run "the_database_is_private_encrypted_and_protected" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled == false
    error_message = "The database has a public address."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "The database takes plain connections."
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "terraform destroy would delete the database."
  }
}

run "the_database_is_backed_up" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].enabled && google_sql_database_instance.this.settings[0].backup_configuration[0].point_in_time_recovery_enabled
    error_message = "The database has no backups."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].backup_retention_settings[0].retained_backups == 14
    error_message = "Two weeks of them are kept."
  }
}

run "the_password_is_in_no_state" {
  assert {
    condition     = google_sql_user.this.password == null && google_sql_user.this.password_wo == null
    error_message = "The password would stand in the state."
  }
  assert {
    condition     = google_sql_user.this.password_wo_version == 1
    error_message = "Its version tells when it has changed."
  }
}

run "logs_are_private_and_go_after_a_while" {
  command = plan

  assert {
    condition     = google_storage_bucket.logs.public_access_prevention == "enforced" && google_storage_bucket.logs.uniform_bucket_level_access
    error_message = "The bucket could be made public."
  }
  assert {
    condition     = google_storage_bucket.logs.name == "example-project-airflow-logs" && google_storage_bucket.logs.force_destroy == false
    error_message = "The bucket has its name, and goes only when it is empty."
  }
  assert {
    condition = anytrue([for rule in google_storage_bucket.logs.lifecycle_rule :
      one(rule.action).type == "Delete" && one(rule.condition).age == 90 && one(rule.condition).matches_prefix == tolist(["logs/"])
    ])
    error_message = "Logs go after 90 days, and nothing else does."
  }
}

run "the_machines_have_the_least_rights" {
  command = plan

  assert {
    condition     = toset(keys(google_project_iam_member.host)) == toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])
    error_message = "The machines have a role in the project that they don't need."
  }
  assert {
    condition     = google_storage_bucket_iam_member.host.role == "roles/storage.objectUser"
    error_message = "objectUser reads, writes and deletes logs, and changes no access."
  }
}

run "nobody_may_log_in_unless_named" {
  command = plan

  assert {
    condition     = length(google_compute_instance_iam_member.login) == 0 && length(google_iap_tunnel_instance_iam_member.operator) == 0 && length(google_service_account_iam_member.login) == 0
    error_message = "Somebody may log in."
  }
}

run "secrets_have_no_values_here" {
  command = plan

  assert {
    condition     = toset(keys(google_secret_manager_secret.this)) == toset(["airfleet-git-key", "airfleet-ssh-key", "airfleet-known-hosts", "airfleet-secrets"])
    error_message = "examples/cloudbuild.yaml reads four secrets."
  }
  assert {
    condition     = length(google_secret_manager_secret_iam_member.deploy) == 0
    error_message = "Somebody may read them."
  }
}

run "memorystore_and_builds_are_off" {
  command = plan

  assert {
    condition     = length(google_redis_instance.this) == 0 && output.memorystore == null
    error_message = "Memorystore costs money and is not asked for."
  }
  assert {
    condition     = length(google_cloudbuild_worker_pool.this) == 0 && length(google_cloudbuild_trigger.this) == 0 && length(google_service_account.deploy) == 0
    error_message = "Builds are not asked for."
  }
  assert {
    condition     = !contains(keys(google_project_service.this), "redis") && !contains(keys(google_project_service.this), "cloudbuild")
    error_message = "No service is switched on that is not used."
  }
}
