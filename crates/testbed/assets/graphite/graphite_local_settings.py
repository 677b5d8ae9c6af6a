# graphite-web's settings; everything that differs from run to run comes from the environment.
import os
SECRET_KEY = 'only reachable on the loopback address'
ALLOWED_HOSTS = ['*']
TIME_ZONE = 'UTC'
STORAGE_DIR = os.environ['GRAPHITE_STORAGE_DIR']
CARBONLINK_HOSTS = [os.environ['TESTBED_CARBONLINK']]
CARBONLINK_TIMEOUT = 1.0
LOG_FILE_INFO = LOG_FILE_EXCEPTION = '-'
LOG_FILE_CACHE = LOG_FILE_RENDERING = '-'
