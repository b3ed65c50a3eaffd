# A push to the branch deploys it, from machines of Google's that are peered with the network: examples/cloudbuild.yaml.
resource "google_cloudbuild_worker_pool" "this" {
  count = var.cloud_build == null ? 0 : 1

  name     = "${var.name}-deploy"
  location = var.region

  worker_config {
    machine_type   = var.cloud_build.machine_type
    disk_size_gb   = 100
    no_external_ip = false # a build fetches an image, uv and PyPI's packages
  }

  network_config {
    peered_network          = google_compute_network.this.id
    peered_network_ip_range = "${google_compute_global_address.pool[0].address}/${google_compute_global_address.pool[0].prefix_length}"
  }

  depends_on = [google_service_networking_connection.this, google_project_service.this]
}

resource "google_compute_firewall" "pool" {
  count = var.cloud_build == null ? 0 : 1

  name          = "${var.name}-pool-ssh"
  description   = "SSH from Cloud Build's private pool"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  source_ranges = ["${google_compute_global_address.pool[0].address}/${google_compute_global_address.pool[0].prefix_length}"]
  target_tags   = [var.name]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

resource "google_cloudbuild_trigger" "this" {
  count = var.cloud_build == null ? 0 : 1

  name            = "${var.name}-deploy"
  location        = var.region
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.deploy[0].id

  repository_event_config {
    repository = var.cloud_build.repository
    push {
      branch = "^${replace(var.cloud_build.branch, ".", "\\.")}$"
    }
  }

  substitutions = {
    _AIRFLEET        = var.cloud_build.airfleet
    _AIRFLEET_BRANCH = var.cloud_build.airfleet_branch
    _AIRFLEET_ENV    = var.cloud_build.airfleet_env
    _POOL            = google_cloudbuild_worker_pool.this[0].id
  }
}
