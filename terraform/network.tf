# A network of its own: it has no rule that lets anything in but those below.
resource "google_compute_network" "this" {
  name                    = var.name
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "this" {
  name                     = "${var.name}-${var.region}"
  network                  = google_compute_network.this.id
  region                   = var.region
  ip_cidr_range            = var.ip_range
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# The machines have no public address; this is their way out, to PyPI, python.org and the git server.
resource "google_compute_router" "this" {
  name    = "${var.name}-router"
  network = google_compute_network.this.id
  region  = var.region
}

resource "google_compute_router_nat" "this" {
  name                               = "${var.name}-nat"
  router                             = google_compute_router.this.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

resource "google_compute_firewall" "iap" {
  name          = "${var.name}-iap-ssh"
  description   = "SSH from Google's Identity-Aware Proxy, and from nowhere else"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  source_ranges = ["35.235.240.0/20"]
  target_tags   = [var.name]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

resource "google_compute_firewall" "health_checks" {
  name          = "${var.name}-health-checks"
  description   = "Google's load balancers and their health checks"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  source_ranges = ["130.211.0.0/22", "35.191.0.0/16"]
  target_tags   = ["${var.name}-web"]

  allow {
    protocol = "tcp"
    ports    = [tostring(var.web_port)]
  }
}

resource "google_compute_firewall" "fleet" {
  name        = "${var.name}-fleet"
  description = "From host to host: Redis, logs of running tasks and triggers, the API server (fab firewall tells which)"
  network     = google_compute_network.this.id
  direction   = "INGRESS"
  source_tags = [var.name]
  target_tags = [var.name]

  allow {
    protocol = "tcp"
    ports    = ["6379", "8793", "8794", tostring(var.web_port)]
  }
}

resource "google_compute_firewall" "web" {
  count = length(var.web_from) > 0 ? 1 : 0

  name          = "${var.name}-web"
  description   = "The web pages without a load balancer"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  source_ranges = var.web_from
  target_tags   = ["${var.name}-web"]

  allow {
    protocol = "tcp"
    ports    = [tostring(var.web_port)]
  }
}

# Cloud SQL, Memorystore and the pool of Cloud Build live in networks of Google's that are peered with this one.
resource "google_compute_global_address" "services" {
  name          = "${var.name}-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 20
  network       = google_compute_network.this.id
}

resource "google_compute_global_address" "pool" {
  count = var.cloud_build == null ? 0 : 1

  name          = "${var.name}-pool"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 24
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "this" {
  network = google_compute_network.this.id
  service = "servicenetworking.googleapis.com"
  reserved_peering_ranges = concat(
    [google_compute_global_address.services.name],
    google_compute_global_address.pool[*].name,
  )
}
