variable "project" {
  description = "Project of Google Cloud that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is the project's id, as in my-project-1: 6 to 30 small letters, digits and -."
  }
}

variable "region" {
  description = "Where it is made."
  type        = string
  default     = "asia-northeast3"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a region's name, as in asia-northeast3; a zone has its place in hosts."
  }
}

variable "name" {
  description = "What the names of all that is made begin with, but for the machines' and the builds' account and secrets."
  type        = string
  default     = "airflow"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,14}[a-z0-9])?$", var.name))
    error_message = "name has at most 16 small letters, digits and -, a letter first."
  }
}

variable "labels" {
  description = "Labels of all that can have some."
  type        = map(string)
  default     = {}
}

variable "hosts" {
  description = "The machines, by their names, here and in airfleet's inventory; celery overrides its section there. zone: REGION-a when left out."
  type = map(object({
    roles        = list(string)
    machine_type = optional(string, "e2-standard-4")
    disk_gb      = optional(number, 50)
    zone         = optional(string)
    celery = optional(object({
      instances   = optional(number)
      concurrency = optional(number)
      queues      = optional(list(string))
    }))
  }))
  default = {
    airflow-1 = { roles = ["redis", "scheduler", "triggerer", "webserver", "flower"] }
    airflow-2 = { roles = ["worker"] }
  }

  validation {
    condition     = alltrue([for name in keys(var.hosts) : can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", name))])
    error_message = "A host's name has at most 30 small letters, digits and -, a letter first."
  }
  validation {
    condition = alltrue(flatten([for host in values(var.hosts) : [
      for role in host.roles : contains(["redis", "webserver", "scheduler", "triggerer", "worker", "flower"], role)
    ]]))
    error_message = "A role is one of redis, webserver, scheduler, triggerer, worker, flower."
  }
  validation {
    condition     = alltrue([for host in values(var.hosts) : length(host.roles) > 0 && length(host.roles) == length(distinct(host.roles))])
    error_message = "A host has one role or more, and none twice."
  }
  validation {
    condition     = length([for host in values(var.hosts) : host if contains(host.roles, "redis")]) == 1
    error_message = "Exactly one host has the role redis: it is the broker."
  }
  validation {
    condition = alltrue([for role in ["webserver", "scheduler", "worker"] :
      anytrue([for host in values(var.hosts) : contains(host.roles, role)])
    ])
    error_message = "At least one host has each of the roles webserver, scheduler and worker."
  }
  validation {
    condition     = alltrue([for host in values(var.hosts) : host.disk_gb >= 20])
    error_message = "disk_gb is 20 or more: the system, Python, Airflow's environments and its local logs."
  }
  validation {
    condition     = alltrue([for host in values(var.hosts) : host.zone == null || can(regex("^${var.region}-[a-z]$", host.zone))])
    error_message = "A host's zone is one of the region's, as in asia-northeast3-b."
  }
}

variable "image" {
  description = "Image family of the machines: one whose system airfleet knows."
  type        = string
  default     = "debian-cloud/debian-12"

  validation {
    condition = contains([
      "debian-cloud/debian-12", "debian-cloud/debian-13",
      "ubuntu-os-cloud/ubuntu-2204-lts", "ubuntu-os-cloud/ubuntu-2404-lts-amd64",
    ], var.image)
    error_message = "image is a family of Debian 12 or 13, or of Ubuntu 22.04 or 24.04."
  }
}

variable "operators" {
  description = "Who may log in to the machines through IAP and become root there: user:…, group:… or serviceAccount:…"
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "An operator is user:NAME@DOMAIN, group:… or serviceAccount:…; nobody may be everybody."
  }
}

variable "ip_range" {
  description = "Addresses of the machines."
  type        = string
  default     = "10.20.0.0/24"

  validation {
    condition     = can(cidrnetmask(var.ip_range)) && can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\.", var.ip_range))
    error_message = "ip_range is a private range, as in 10.20.0.0/24."
  }
}

variable "web_port" {
  description = "Port of the web pages: airflow.web_port of the inventory."
  type        = number
  default     = 80

  validation {
    condition     = var.web_port >= 1 && var.web_port <= 65535 && var.web_port == floor(var.web_port)
    error_message = "web_port is 1 to 65535."
  }
}

variable "web_from" {
  description = "Ranges that reach the web pages without a load balancer, such as a VPN's. The pages are plain HTTP."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.web_from : can(cidrhost(range, 0)) && !endswith(range, "/0")])
    error_message = "web_from has ranges such as 10.8.0.0/16; the whole internet is none."
  }
}

variable "database" {
  description = "Cloud SQL for PostgreSQL."
  type = object({
    version         = optional(string, "POSTGRES_16")
    tier            = optional(string, "db-custom-2-7680")
    availability    = optional(string, "ZONAL")
    disk_gb         = optional(number, 20)
    max_connections = optional(number)
    keep_backups    = optional(number, 14)
    name            = optional(string, "airflow")
    user            = optional(string, "airflow")
  })
  default = {}

  validation {
    condition     = can(regex("^POSTGRES_1[3-9]$", var.database.version))
    error_message = "database.version is POSTGRES_13 or newer, as in POSTGRES_16."
  }
  validation {
    condition     = contains(["ZONAL", "REGIONAL"], var.database.availability)
    error_message = "database.availability is ZONAL, or REGIONAL for a standby in another zone."
  }
  validation {
    condition     = var.database.keep_backups >= 1 && var.database.keep_backups <= 365
    error_message = "database.keep_backups is 1 to 365."
  }
  validation {
    condition     = var.database.max_connections == null || try(var.database.max_connections >= 25, false)
    error_message = "database.max_connections is 25 or more; left out, Cloud SQL chooses by the memory."
  }
}

variable "database_password" {
  description = "Password of the database's user: the secret database_password of airfleet. Give it as TF_VAR_database_password."
  type        = string
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = length(var.database_password) >= 16
    error_message = "database_password has 16 characters or more: openssl rand -base64 24"
  }
}

variable "database_password_version" {
  description = "One more for each new password: nothing else tells Terraform that it has changed, since no state has it."
  type        = number
  default     = 1
}

variable "logs" {
  description = "Bucket of task logs; objects under the prefix are deleted when they are so old. bucket: PROJECT-NAME-logs when left out."
  type = object({
    bucket    = optional(string)
    prefix    = optional(string, "logs")
    keep_days = optional(number, 90)
  })
  default = {}

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*$", var.logs.prefix))
    error_message = "logs.prefix is a folder in the bucket, without / at its ends: what is deleted is what is under it."
  }
  validation {
    condition     = var.logs.keep_days >= 1
    error_message = "logs.keep_days is 1 or more."
  }
}

variable "cloud_build" {
  description = "Deploys by Cloud Build: the DAGs' repository as Cloud Build knows it (connected before), and the git URL of your airfleet repository. null: none."
  type = object({
    repository      = string
    branch          = optional(string, "main")
    airfleet        = string
    airfleet_branch = optional(string, "main")
    airfleet_env    = optional(string, "")
    machine_type    = optional(string, "e2-medium")
  })
  default = null

  validation {
    condition     = var.cloud_build == null || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.cloud_build.repository))
    error_message = "cloud_build.repository is projects/P/locations/REGION/connections/C/repositories/R."
  }
  validation {
    condition     = var.cloud_build == null || can(regex("^[A-Za-z0-9_][A-Za-z0-9._/-]*$", var.cloud_build.branch))
    error_message = "cloud_build.branch is the name of a branch, no pattern."
  }
}

variable "memorystore" {
  description = "A Redis of Google's beside the fleet. null: none, the host with the role redis is the broker."
  type = object({
    memory_gb = optional(number, 1)
    tier      = optional(string, "STANDARD_HA")
  })
  default = null

  validation {
    condition     = var.memorystore == null || contains(["BASIC", "STANDARD_HA"], try(var.memorystore.tier, ""))
    error_message = "memorystore.tier is BASIC or STANDARD_HA."
  }
}

variable "deletion_protection" {
  description = "Whether Google refuses to delete the database and the machines."
  type        = bool
  default     = true
}
