# What is refused before Google is asked: each by the validation of its variable.
mock_provider "google" {}

variables {
  project           = "example-project"
  database_password = "sixteen-letters-and-more"
}

run "refused_project" {
  command = plan

  variables {
    project = "Example"
  }

  expect_failures = [var.project]
}

run "refused_region" {
  command = plan

  variables {
    region = "asia-northeast3-a"
  }

  expect_failures = [var.region]
}

run "refused_name" {
  command = plan

  variables {
    name = "a-name-that-is-far-too-long"
  }

  expect_failures = [var.name]
}

run "refused_a_host_without_a_role" {
  command = plan

  variables {
    hosts = { a = { roles = [] }, b = { roles = ["redis", "scheduler", "webserver", "worker"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_an_unknown_role" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver", "worker", "wroker"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_a_second_redis" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver", "worker"] }, b = { roles = ["redis"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_no_worker" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_a_hosts_name" {
  command = plan

  variables {
    hosts = { A_1 = { roles = ["redis", "scheduler", "webserver", "worker"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_a_small_disk" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver", "worker"], disk_gb = 10 } }
  }

  expect_failures = [var.hosts]
}

run "refused_a_zone_elsewhere" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver", "worker"], zone = "us-central1-a" } }
  }

  expect_failures = [var.hosts]
}

run "refused_another_system" {
  command = plan

  variables {
    image = "centos-cloud/centos-7"
  }

  expect_failures = [var.image]
}

run "refused_everybody_as_an_operator" {
  command = plan

  variables {
    operators = ["allUsers"]
  }

  expect_failures = [var.operators]
}

run "refused_a_public_range" {
  command = plan

  variables {
    ip_range = "8.8.8.0/24"
  }

  expect_failures = [var.ip_range]
}

run "refused_a_web_port" {
  command = plan

  variables {
    web_port = 0
  }

  expect_failures = [var.web_port]
}

run "refused_the_internet_on_the_web_pages" {
  command = plan

  variables {
    web_from = ["0.0.0.0/0"]
  }

  expect_failures = [var.web_from]
}

run "refused_an_old_database" {
  command = plan

  variables {
    database = { version = "POSTGRES_9_6" }
  }

  expect_failures = [var.database]
}

run "refused_a_database_without_backups" {
  command = plan

  variables {
    database = { keep_backups = 0 }
  }

  expect_failures = [var.database]
}

run "refused_an_availability" {
  command = plan

  variables {
    database = { availability = "GLOBAL" }
  }

  expect_failures = [var.database]
}

run "refused_too_few_connections" {
  command = plan

  variables {
    database = { max_connections = 10 }
  }

  expect_failures = [var.database]
}

run "refused_a_short_password" {
  command = plan

  variables {
    database_password = "short"
  }

  expect_failures = [var.database_password]
}

run "refused_a_prefix_with_a_slash" {
  command = plan

  variables {
    logs = { prefix = "logs/" }
  }

  expect_failures = [var.logs]
}

run "refused_logs_that_go_at_once" {
  command = plan

  variables {
    logs = { keep_days = 0 }
  }

  expect_failures = [var.logs]
}

run "refused_a_repository_that_is_a_url" {
  command = plan

  variables {
    cloud_build = { repository = "https://git.example.com/dags", airfleet = "git@git.example.com:ops.git" }
  }

  expect_failures = [var.cloud_build]
}

run "refused_a_branch_that_is_a_pattern" {
  command = plan

  variables {
    cloud_build = { repository = "projects/p/locations/r/connections/c/repositories/d", branch = "^main$", airfleet = "git@git.example.com:ops.git" }
  }

  expect_failures = [var.cloud_build]
}

run "refused_a_role_twice" {
  command = plan

  variables {
    hosts = { a = { roles = ["redis", "scheduler", "webserver", "worker", "worker"] } }
  }

  expect_failures = [var.hosts]
}

run "refused_a_tier_of_memorystore" {
  command = plan

  variables {
    memorystore = { tier = "LARGE" }
  }

  expect_failures = [var.memorystore]
}
