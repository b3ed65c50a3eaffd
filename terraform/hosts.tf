locals {
  zones = { for name, host in var.hosts : name => coalesce(host.zone, "${var.region}-a") }
}

resource "google_compute_instance" "host" {
  for_each = var.hosts

  name         = each.key
  description  = "airfleet: ${join(", ", each.value.roles)}"
  machine_type = each.value.machine_type
  zone         = local.zones[each.key]
  tags         = concat([var.name], contains(each.value.roles, "webserver") ? ["${var.name}-web"] : [])

  allow_stopping_for_update = true
  deletion_protection       = var.deletion_protection

  metadata = {
    enable-oslogin          = "TRUE"
    block-project-ssh-keys  = "TRUE"
    serial-port-enable      = "FALSE"
    enable-guest-attributes = "TRUE" # the host's keys can be read there, without asking the network
  }

  boot_disk {
    initialize_params {
      # The family by its name, no data source: a newer image is for new machines and replaces none.
      image = var.image
      size  = each.value.disk_gb
      type  = "pd-balanced"
    }
  }

  # No access_config, and so no public address.
  network_interface {
    subnetwork = google_compute_subnetwork.this.id
  }

  # What the account may do is said by its roles; a narrower scope would only hide that.
  service_account {
    email  = google_service_account.host.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }
}
