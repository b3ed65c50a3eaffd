# Who may do what: the machines, the builds, the operators. No role here is one of owner, editor or viewer.
resource "google_service_account" "host" {
  account_id   = "${var.name}-host"
  display_name = "Airflow hosts"
  description  = "What DAGs run as: task logs, and what you give it"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "host" {
  for_each = toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])

  project = var.project
  role    = each.key
  member  = google_service_account.host.member
}

resource "google_storage_bucket_iam_member" "host" {
  bucket = google_storage_bucket.logs.name
  role   = "roles/storage.objectUser"
  member = google_service_account.host.member
}

resource "google_service_account" "deploy" {
  count = var.cloud_build == null ? 0 : 1

  account_id   = "airfleet-deploy"
  display_name = "Deploys by Cloud Build"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "deploy" {
  count = var.cloud_build == null ? 0 : 1

  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.deploy[0].member
}

resource "google_secret_manager_secret_iam_member" "deploy" {
  for_each = var.cloud_build == null ? toset([]) : local.secrets

  secret_id = google_secret_manager_secret.this[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.deploy[0].member
}

# OS Login: to log in and to use sudo takes this on the machine, and the right to act as the machine's account.
locals {
  logins = merge(
    { for member in var.operators : member => member },
    var.cloud_build == null ? {} : { deploy = google_service_account.deploy[0].member },
  )
  logins_on_hosts = { for pair in setproduct(keys(local.logins), keys(var.hosts)) :
    "${pair[0]} on ${pair[1]}" => { member = local.logins[pair[0]], host = pair[1] }
  }
  tunnels = { for pair in setproduct(var.operators, keys(var.hosts)) :
    "${pair[0]} to ${pair[1]}" => { member = pair[0], host = pair[1] }
  }
}

resource "google_compute_instance_iam_member" "login" {
  for_each = local.logins_on_hosts

  instance_name = google_compute_instance.host[each.value.host].name
  zone          = local.zones[each.value.host]
  role          = "roles/compute.osAdminLogin"
  member        = each.value.member
}

resource "google_service_account_iam_member" "login" {
  for_each = local.logins

  service_account_id = google_service_account.host.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

# The operators come through IAP; a build comes from the pool.
resource "google_iap_tunnel_instance_iam_member" "operator" {
  for_each = local.tunnels

  instance = google_compute_instance.host[each.value.host].name
  zone     = local.zones[each.value.host]
  role     = "roles/iap.tunnelResourceAccessor"
  member   = each.value.member
}
