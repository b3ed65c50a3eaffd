# What is made when something is asked for.
mock_provider "google" {
  mock_resource "google_compute_instance" {
    defaults = {
      network_interface = { network_ip = "10.20.0.7" }
    }
  }
  mock_resource "google_compute_global_address" {
    defaults = { address = "10.99.0.0" }
  }
  mock_resource "google_sql_database_instance" {
    defaults = {
      private_ip_address = "10.99.16.3"
      server_ca_cert     = [{ cert = "a certificate" }, { cert = "the next one" }]
    }
  }
  mock_resource "google_service_account" {
    defaults = {
      email     = "airfleet-deploy@example-project.iam.gserviceaccount.com"
      member    = "serviceAccount:airfleet-deploy@example-project.iam.gserviceaccount.com"
      unique_id = "112233445566778899000"
    }
  }
}

variables {
  project           = "example-project"
  database_password = "sixteen-letters-and-more"
}

run "outputs_are_the_inventorys_keys" {
  variables {
    hosts = {
      airflow-1 = { roles = ["redis", "scheduler", "triggerer", "webserver", "flower"] }
      gpu-1     = { roles = ["worker"], machine_type = "g2-standard-4", celery = { instances = 1, queues = ["gpu"] } }
    }
    database = { max_connections = 200 }
  }

  override_resource {
    target = google_compute_instance.host["gpu-1"]
    values = { network_interface = { network_ip = "10.20.0.8" } }
  }

  assert {
    condition     = output.hosts["airflow-1"] == { address = "10.20.0.7", roles = tolist(["redis", "scheduler", "triggerer", "webserver", "flower"]) }
    error_message = "A host has its address and its roles, and no celery that it did not ask for."
  }
  assert {
    condition     = output.hosts["gpu-1"].celery == { instances = 1, queues = tolist(["gpu"]) }
    error_message = "What a host overrides is there, what it does not is not."
  }
  assert {
    condition     = output.database == { host = "10.99.16.3", name = "airflow", user = "airflow", max_connections = 200 }
    error_message = "The database has its keys."
  }
  assert {
    condition     = output.logging == { bucket = "example-project-airflow-logs", prefix = "logs" } && output.database_ca == "a certificate\nthe next one"
    error_message = "The bucket, its prefix, and the authority of the database."
  }
}

run "operators_come_through_iap_and_become_root" {
  command = plan

  variables {
    operators = ["user:ann@example.com", "group:airflow@example.com"]
  }

  assert {
    condition     = length(google_iap_tunnel_instance_iam_member.operator) == 4 && alltrue([for each in google_iap_tunnel_instance_iam_member.operator : each.role == "roles/iap.tunnelResourceAccessor"])
    error_message = "Two operators, two machines, the tunnel's role on each of them."
  }
  assert {
    condition     = length(google_compute_instance_iam_member.login) == 4 && alltrue([for each in google_compute_instance_iam_member.login : each.role == "roles/compute.osAdminLogin"])
    error_message = "OS Login with sudo, on these machines and not in the project."
  }
}

run "builds_come_from_the_pool_with_the_least_rights" {
  variables {
    cloud_build = {
      repository = "projects/example-project/locations/asia-northeast3/connections/github/repositories/dags"
      branch     = "release-1.0"
      airfleet   = "git@git.example.com:data/airflow-ops.git"
    }
  }

  assert {
    condition     = google_compute_firewall.pool[0].source_ranges == toset(["10.99.0.0/24"]) && one(google_compute_firewall.pool[0].allow).ports == tolist(["22"])
    error_message = "SSH from the pool's own range."
  }
  assert {
    condition     = google_cloudbuild_worker_pool.this[0].network_config[0].peered_network_ip_range == "10.99.0.0/24"
    error_message = "The pool is in that range."
  }
  assert {
    condition     = google_project_iam_member.deploy[0].role == "roles/logging.logWriter" && length(google_secret_manager_secret_iam_member.deploy) == 4
    error_message = "It writes its log and reads four secrets."
  }
  assert {
    condition     = length(google_iap_tunnel_instance_iam_member.operator) == 0 && length(google_compute_instance_iam_member.login) == 2
    error_message = "It logs in to the machines, and has no tunnel."
  }
  assert {
    condition     = google_cloudbuild_trigger.this[0].repository_event_config[0].push[0].branch == "^release-1\\.0$"
    error_message = "The branch is no pattern."
  }
  assert {
    condition     = toset(keys(google_cloudbuild_trigger.this[0].substitutions)) == toset(["_AIRFLEET", "_AIRFLEET_BRANCH", "_AIRFLEET_ENV", "_POOL"])
    error_message = "The substitutions of examples/cloudbuild.yaml."
  }
  assert {
    condition     = output.deploy.login == "sa_112233445566778899000"
    error_message = "Its name on the machines."
  }
}

run "memorystore_asks_for_a_password_and_evicts_nothing" {
  command = plan

  variables {
    memorystore = {}
  }

  assert {
    condition     = google_redis_instance.this[0].auth_enabled && google_redis_instance.this[0].transit_encryption_mode == "SERVER_AUTHENTICATION"
    error_message = "It lets anybody in, or in the clear."
  }
  assert {
    condition     = google_redis_instance.this[0].redis_configs["maxmemory-policy"] == "noeviction" && google_redis_instance.this[0].tier == "STANDARD_HA"
    error_message = "A broker that evicts loses tasks."
  }
}

run "a_vpn_reaches_the_web_pages_alone" {
  command = plan

  variables {
    web_from = ["10.8.0.0/16"]
    web_port = 8080
  }

  assert {
    condition     = google_compute_firewall.web[0].source_ranges == toset(["10.8.0.0/16"]) && one(google_compute_firewall.web[0].allow).ports == tolist(["8080"])
    error_message = "The range that was named, and the web pages' port."
  }
}
